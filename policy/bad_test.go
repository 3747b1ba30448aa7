package policy_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/policy"
)

var update = flag.Bool("update", false, "write the .want files of testdata/bad anew")

func TestBadPoliciesAreRefusedWithPlaceTextAndFix(t *testing.T) {
	hcl, err := filepath.Glob("testdata/bad/*.hcl")
	same(t, "error", err, nil)
	json, err := filepath.Glob("testdata/bad/*.json")
	same(t, "error", err, nil)
	files := append(hcl, json...)
	if len(files) == 0 {
		t.Fatal("no cases")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { refused(t, file) })
	}
}

func refused(t *testing.T, file string) {
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Parse(policy.File{Name: filepath.Base(file), Src: src})
	if err == nil || p != nil {
		t.Fatalf("accepted: %v", p)
	}
	if !errors.Is(err, policy.ErrInvalid) {
		t.Errorf("not of kind ErrInvalid: %v", err)
	}
	pointsIntoSource(t, err, string(src))
	golden := file + ".want"
	if *update {
		if err := os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, readErr := os.ReadFile(golden)
	if readErr != nil {
		t.Fatal(readErr)
	}
	if got := err.Error() + "\n"; got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func pointsIntoSource(t *testing.T, err error, src string) {
	var found policy.Diagnostics
	if !errors.As(err, &found) {
		t.Fatalf("not Diagnostics: %T", err)
	}
	lines := strings.Split(src, "\n")
	for _, d := range found {
		if d.Line < 1 || d.Line > len(lines) || d.Column < 1 {
			t.Errorf("no place: %+v", d)
		} else if text := strings.TrimSuffix(d.Text, "…"); !strings.HasPrefix(lines[d.Line-1], text) {
			t.Errorf("%q is not line %d", d.Text, d.Line)
		}
	}
}

func TestSourceOverTheLimitIsRefused(t *testing.T) {
	half := []byte("#" + strings.Repeat("x", policy.MaxSource/2) + "\n")
	one := policy.File{Name: "one.hcl", Src: half}
	if _, err := policy.Parse(one); err != nil {
		t.Errorf("half of it: %v", err)
	}
	_, err := policy.Parse(one, policy.File{Name: "two.hcl", Src: half})
	if !errors.Is(err, policy.ErrInvalid) || !strings.Contains(err.Error(), "two.hcl") {
		t.Errorf("both: %v", err)
	}
	if _, err := policy.Format("big.hcl", append(half, half...)); !errors.Is(err, policy.ErrInvalid) {
		t.Errorf("Format: %v", err)
	}
}

func TestRoutesOverTheLimitAreRefused(t *testing.T) {
	if _, err := policy.Parse(policy.File{Name: "p.hcl", Src: manyRoutes(policy.MaxRoutes)}); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	_, err := policy.Parse(policy.File{Name: "p.hcl", Src: manyRoutes(policy.MaxRoutes + 1)})
	if !errors.Is(err, policy.ErrInvalid) || !strings.Contains(err.Error(), "more than 10000 routes") {
		t.Errorf("one over: %v", err)
	}
}

func manyRoutes(n int) []byte {
	var b strings.Builder
	b.WriteString("service \"a\" {}\n")
	for i := range n {
		fmt.Fprintf(&b, "route \"r%d\" {\nmatch {\npath=\"/r%d\"\n}\nforward {\nservice=\"a\"\n}\n}\n", i, i)
	}
	return []byte(b.String())
}

func TestSecondFileOfANameIsRefused(t *testing.T) {
	f := policy.File{Name: "p.hcl", Src: []byte("service \"a\" {}\n")}
	if _, err := policy.Parse(f, f); !errors.Is(err, policy.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

func TestDiagnosticsAreSortedAndBounded(t *testing.T) {
	var b strings.Builder
	for i := range 80 {
		fmt.Fprintf(&b, "service \"a%d\" {\n  timeout = \"x\"\n}\n", i)
	}
	_, err := policy.Parse(policy.File{Name: "p.hcl", Src: []byte(b.String())})
	var found policy.Diagnostics
	if !errors.As(err, &found) || len(found) != 51 {
		t.Fatalf("got %d diagnostics", len(found))
	}
	if last := found[50].String(); last != "and 30 more" {
		t.Errorf("last: %q", last)
	}
	for i := 1; i < 50; i++ {
		if found[i].Line < found[i-1].Line {
			t.Errorf("line %d after %d", found[i].Line, found[i-1].Line)
		}
	}
}

func TestFaultyTextIsFitForATerminal(t *testing.T) {
	_, err := policy.Parse(policy.File{Name: "p.hcl", Src: []byte("x = \"\x1b[31m\" " + strings.Repeat("y", 5000))})
	if err == nil || strings.Contains(err.Error(), "\x1b") || len(err.Error()) > 4000 {
		t.Errorf("got %q", err)
	}
}

func TestFaultsBeyondTheFirstAreOnlyCounted(t *testing.T) {
	const faults = 20_000
	var src strings.Builder
	for i := range faults {
		fmt.Fprintf(&src, "a%d = 1\n", i)
	}
	_, err := policy.Parse(policy.File{Name: "p.hcl", Src: []byte(src.String())})
	if err == nil || !strings.HasSuffix(err.Error(), fmt.Sprintf("and %d more", faults-50)) {
		t.Errorf("got %.300v", err)
	}
}
