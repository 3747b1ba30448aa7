package drill

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/policy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func files(t testing.TB, pattern string) []string {
	t.Helper()
	all, err := filepath.Glob(pattern)
	if err != nil || len(all) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	return all
}

func TestBadFilesAreRefusedWithFileAndLine(t *testing.T) {
	for _, file := range files(t, "testdata/bad/*.hcl") {
		_, err := ReadFile(file)
		if !errors.Is(err, policy.ErrInvalid) {
			t.Errorf("%s: %v", file, err)
			continue
		}
		got := []byte(err.Error() + "\n")
		golden := strings.TrimSuffix(file, ".hcl") + ".golden"
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", file, got, want)
		}
	}
}

func TestGoodFileIsReadWhole(t *testing.T) {
	d, err := ReadFile("testdata/good.hcl")
	if err != nil {
		t.Fatal(err)
	}
	if d.Name != "x" || d.Duration != 20*time.Second || d.Load.Rate != 10 || d.Load.Devices != 2 || d.Load.Duration != d.Duration {
		t.Errorf("drill %+v", d)
	}
	k := d.Load.Kinds[0]
	if k.Name != "alarm" || k.Class != policy.Critical || k.Method != "POST" || k.Path != "/alarms" || k.Weight != 1 {
		t.Errorf("kind %+v", k)
	}
	s := d.Steps[0]
	if s.Name != "cut" || s.At != 5*time.Second || s.For != 5*time.Second || s.Fault != (admin.Fault{Kind: admin.FaultRegionOutage, Region: "eu-2"}) {
		t.Errorf("step %+v", s)
	}
	i := d.Invariants[0]
	if !i.AtLeast || i.Bound != 99 || i.scope.from != 5*time.Second || i.scope.until != 20*time.Second {
		t.Errorf("invariant %+v", i)
	}
	f := d.fault(&s)
	if err := f.Check(); err != nil || f.Seconds <= 5 {
		t.Errorf("fault asked for: %+v, %v", f, err)
	}
}

func TestShippedDrillsAreGood(t *testing.T) {
	for _, file := range files(t, "../../deploy/drills/*.hcl") {
		if strings.HasSuffix(file, ".policy.hcl") {
			continue
		}
		if _, err := ReadFile(file); err != nil {
			t.Error(err)
		}
	}
}

func TestLargeFileIsNotRead(t *testing.T) {
	if _, err := Parse("big.hcl", make([]byte, maxFile+1)); !errors.Is(err, policy.ErrInvalid) {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.hcl", "testdata/good.hcl", "../../deploy/drills/*.hcl"} {
		for _, file := range files(f, pattern) {
			src, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		d, err := Parse("f.hcl", src)
		if err != nil {
			if !errors.Is(err, policy.ErrInvalid) {
				t.Fatalf("kind of %v", err)
			}
			return
		}
		if d.Duration < minDuration || d.Duration > maxDuration || len(d.Invariants) == 0 || len(d.Load.Kinds) == 0 {
			t.Fatalf("accepted %+v", d)
		}
		for n := range d.Steps {
			if f := d.fault(&d.Steps[n]); f.Check() != nil || d.endOf(&d.Steps[n]) > d.Duration {
				t.Fatalf("accepted step %+v: %v", d.Steps[n], f.Check())
			}
		}
	})
}
