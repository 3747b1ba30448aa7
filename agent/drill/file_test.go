package drill

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/load"
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
	if d.Name != "x" || d.Duration != 20*time.Second || d.Load.Rate != 10 || d.Load.Devices != 2 || d.Load.Duration != d.Duration+defaultSteady {
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
	if success := d.Steady.Bounds[0]; d.Steady.For != defaultSteady || len(d.Steady.Bounds) != 1 || success.Bound != defaultSuccess || !success.AtLeast {
		t.Errorf("steady state %+v", d.Steady)
	}
	f := d.fault(&s)
	if err := f.Check(); err != nil || f.Seconds <= 5 {
		t.Errorf("fault asked for: %+v, %v", f, err)
	}
}

func TestEveryWordOfTheLanguageIsRead(t *testing.T) {
	d, err := ReadFile("testdata/rich.hcl")
	if err != nil {
		t.Fatal(err)
	}
	if d.warmUp != 2*time.Second || d.Load.Duration != 26*time.Second || d.Load.Deadline != 500*time.Millisecond ||
		d.Load.Retry != (load.Retry{Attempts: 3, Hasty: true, Pause: 50 * time.Millisecond}) || len(d.Load.Tenants) != 2 {
		t.Errorf("load %+v", d.Load)
	}
	if d.mesh.Latency != 20*time.Millisecond || d.mesh.Capacity != 8 || d.mesh.Services[0].Capacity != 4 {
		t.Errorf("mesh %+v", d.mesh)
	}
	want := load.Extra{From: 11 * time.Second, Until: 16 * time.Second, Rate: 20, Kinds: []string{"alarm"}, Tenant: "b", Region: "eu-1"}
	if got := d.Load.Extra; len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(want) {
		t.Errorf("extra %+v, want %+v", got, want)
	}
	move := load.Move{Region: "us-1", From: 15 * time.Second, Until: 19 * time.Second, Over: time.Second, BackOver: 500 * time.Millisecond}
	if got := d.Load.Moves; len(got) != 1 || got[0] != move {
		t.Errorf("moves %+v, want %+v", got, move)
	}
	if f := d.Steps[1].Fault; f != (admin.Fault{Kind: admin.FaultCapacity, Region: "eu-1", Service: "alarms", Share: "40%", Over: "2s"}) {
		t.Errorf("fault %+v", f)
	}
	if o := d.order(&d.Steps[2]); o != (admin.OverrideRequest{Action: "evacuate", Region: "eu-2", Reason: "rehearsal", ForSeconds: 34}) {
		t.Errorf("order %+v", o)
	}
	i, j := d.Invariants[0], d.Invariants[1]
	if i.scope.from != 6*time.Second || i.scope.until != 10500*time.Millisecond {
		t.Errorf("window from %s until %s", i.scope.from, i.scope.until)
	}
	if !i.AtLeast || i.scope.edge != "eu-1" || i.scope.tenant != "b" || j.AtLeast || j.by != 20 || j.region != "eu-1" {
		t.Errorf("invariants %+v, %+v", i, j)
	}
}

func TestSteadyStateAbortsAndLedgerAreRead(t *testing.T) {
	d, err := ReadFile("testdata/rich.hcl")
	if err != nil {
		t.Fatal(err)
	}
	success, p99 := d.Steady.Bounds[0], d.Steady.Bounds[1]
	if d.Steady.For != 4*time.Second || success.Bound != 98 || !success.AtLeast || p99.Bound != 400 || p99.AtLeast {
		t.Errorf("steady state %+v", d.Steady)
	}
	harm, usual := d.Aborts[0], d.Aborts[1]
	if harm.Over != 3*time.Second || harm.samples != 5 || harm.within != time.Second || harm.scope.class != "critical" || harm.scope.edge != "eu-1" || !harm.AtLeast {
		t.Errorf("abort %+v", harm)
	}
	if usual.Over != defaultOver || usual.samples != abortSamples || usual.AtLeast || usual.Bound != 100 {
		t.Errorf("abort %+v", usual)
	}
	if len(d.journals) != 1 || d.Observe {
		t.Errorf("journals %q, observed: %v", d.journals, d.Observe)
	}
	if i := d.Invariants[3]; i.series.name != "go_goroutines" || i.series.labels["job"] != "x" || i.series.take != takeLast || i.scope.edge != "eu-1" {
		t.Errorf("invariant %+v", i)
	}
}

func TestObservedDrillHasNoLoad(t *testing.T) {
	d, err := ReadFile("testdata/observed.hcl")
	if err != nil {
		t.Fatal(err)
	}
	if !d.Observe || d.lead() != 10*time.Second || d.Load.Rate != 0 || d.Aborts[1].samples != 0 {
		t.Errorf("%+v", d)
	}
	want := []string{thresholds, "tidegate_policy_loads_total", requestBuckets, "tidegate_requests_in_flight", requestsTotal}
	if got := d.wanted(); !slices.Equal(got, want) {
		t.Errorf("wanted %q", got)
	}
}

func TestSteadyStateIsLongEnoughForSomeRequests(t *testing.T) {
	src, err := os.ReadFile("testdata/good.hcl")
	if err != nil {
		t.Fatal(err)
	}
	for rate, want := range map[string]time.Duration{"0.01": time.Minute, "0.5": 20 * time.Second, "3.5": 3 * time.Second, "400": 3 * time.Second} {
		d := parse(t, "%s", strings.Replace(string(src), "= 10\n", "= "+rate+"\n", 1))
		if d.Steady.For != want {
			t.Errorf("%s requests a second: %s", rate, d.Steady.For)
		}
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

func TestManualTellsTheWholeLanguage(t *testing.T) {
	manual, err := os.ReadFile("../../docs/drills.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(manual), "```hcl\n")
	example, _, _ = strings.Cut(example, "```")
	if _, err := Parse("docs/drills.md", []byte(example)); err != nil {
		t.Error(err)
	}
	for name := range metrics {
		if !strings.Contains(string(manual), "`"+name+"`") {
			t.Errorf("metric %s is not in the manual", name)
		}
	}
	for _, file := range files(t, "../../deploy/drills/*.hcl") {
		if name := filepath.Base(file); !strings.HasSuffix(name, ".policy.hcl") && !strings.Contains(string(manual), "`"+name+"`") {
			t.Errorf("drill %s is not in the manual", name)
		}
	}
}

func TestLargeFileIsNotRead(t *testing.T) {
	if _, err := Parse("big.hcl", make([]byte, maxFile+1)); !errors.Is(err, policy.ErrInvalid) {
		t.Error(err)
	}
}

// wrong says what the mesh would refuse of a step.
func wrong(d *Drill, s *Step) error {
	switch {
	case s.Order != nil:
		o := d.order(s)
		return o.Check()
	case s.Load != nil || s.Leave != nil:
		return nil
	}
	f := d.fault(s)
	return f.Check()
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.hcl", "testdata/good.hcl", "testdata/rich.hcl", "testdata/observed.hcl", "../../deploy/drills/*.hcl"} {
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
		if d.Duration < minDuration || d.Duration > maxDuration || len(d.Invariants) == 0 || d.Observe == (len(d.Load.Kinds) > 0) || d.Steady.For < minSteady || d.Steady.For > maxSteady {
			t.Fatalf("accepted %+v", d)
		}
		for n := range d.Steps {
			if s := &d.Steps[n]; wrong(d, s) != nil || d.endOf(s) > d.Duration {
				t.Fatalf("accepted step %+v: %v", *s, wrong(d, s))
			}
		}
	})
}
