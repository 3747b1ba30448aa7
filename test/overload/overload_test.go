package main

import (
	"os"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/test/overload/flood"
	"github.com/tidegate/tidegate/test/overload/judge"
)

// The program under test starts servers from its own file, which is this one.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && runRole(os.Args[1]) {
		return
	}
	os.Exit(m.Run())
}

func TestExperimentsRunFromEndToEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs agents")
	}
	l, err := newLab(t.Context(), options{short: true, slots: 2, hold: 20 * time.Millisecond, seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	var bars []judge.Bar
	for range 3 { // a machine that is busy with other tests may let no request through in time
		if bars, err = l.tryAgain(t.Context(), experiment{"fairness", fairness}); err != nil {
			t.Fatal(err)
		}
		if len(bars) == 1 && bars[0].Value > 0 {
			break
		}
	}
	if len(bars) != 1 || bars[0].Value <= 0 || bars[0].Value > 100 {
		t.Errorf("%+v", bars)
	}
	if len(l.procs) != 0 {
		t.Errorf("%d processes are left", len(l.procs))
	}
}

const second = time.Second

func loadOf(results ...flood.Result) *flood.Load {
	return &flood.Load{Results: results, Plan: &flood.Plan{Kinds: mixed(0.2), Phases: []flood.Phase{{For: 10 * second}, {For: 10 * second}}}}
}

func TestInversionNeedsALowerClassLetInMeanwhile(t *testing.T) {
	at := settle + second
	refused := flood.Result{Kind: critical, Status: 503, Due: at, Took: 10 * time.Millisecond}
	bulkAt := func(due time.Duration, status uint16) flood.Result {
		return flood.Result{Kind: bulk, Status: status, Due: due, Took: 20 * time.Millisecond}
	}
	for name, tc := range map[string]struct {
		other flood.Result
		want  int
	}{
		"let in meanwhile":  {bulkAt(at+5*time.Millisecond, 200), 1},
		"refused meanwhile": {bulkAt(at+5*time.Millisecond, 503), 0},
		"let in before":     {bulkAt(at-time.Millisecond, 200), 0},
		"let in afterwards": {bulkAt(at+11*time.Millisecond, 200), 0},
	} {
		if got := inversions(loadOf(refused, tc.other)); got != tc.want {
			t.Errorf("%s: %d", name, got)
		}
	}
}

func TestWindowsCountWhatWasDueInThem(t *testing.T) {
	got := windows(loadOf(
		flood.Result{Due: 2 * second, Status: 503}, flood.Result{Due: 2*second + 1, Status: 200},
		flood.Result{Due: 3 * second, Status: 429}, flood.Result{Due: 1 * second}, flood.Result{Due: 4 * second},
	), 2*second, 4*second)
	if len(got) != 2 || got[0] != (judge.Window{All: 2, Part: 1}) || got[1] != (judge.Window{All: 1, Part: 1}) {
		t.Errorf("%+v", got)
	}
}

func TestGoodputCountsAnswersByTheirEnd(t *testing.T) {
	load := loadOf(
		flood.Result{Due: 0, Took: 2 * second, Status: 200}, flood.Result{Due: 1 * second, Took: 3 * second, Status: 200},
		flood.Result{Due: 2 * second, Took: second, Status: 503}, flood.Result{Due: 3 * second, Took: 1, Status: 204},
	)
	if got := goodput(load, 2*second, 4*second); got != 1 {
		t.Errorf("%g", got)
	}
}

func TestFailedRequestsSpoilTheStep(t *testing.T) {
	load := loadOf(flood.Result{Kind: critical, Phase: 1, Due: 19 * second, Took: 1, Status: 200})
	load.Plan.Phases = append(load.Plan.Phases, flood.Phase{For: stepLasts})
	load.Results = append(load.Results,
		flood.Result{Kind: critical, Phase: 2, Due: 20*second + stepBin, Took: 1, Status: 503},
		flood.Result{Kind: bulk, Phase: 2, Due: 20*second + stepBin, Took: 1, Status: 503},
		flood.Result{Kind: critical, Phase: 1, Due: 10 * second, Took: 5, Status: 200})
	base, bins := stepLatencies(load)
	if len(base) != 1 || len(bins[0]) != 0 || len(bins[1]) != 1 || bins[1][0] < time.Minute {
		t.Errorf("base %v, bins %v", base, bins)
	}
}

func TestLimitMustStayWithin(t *testing.T) {
	readings := func(limits ...int) (all []reading) {
		for i, n := range limits {
			for j := range 10 { // half a second each
				all = append(all, reading{time.Duration(10*i+j+1) * 50 * time.Millisecond, admin.Admission{Limit: n}})
			}
		}
		return all
	}
	for name, tc := range map[string]struct {
		limits   []int
		from, to time.Duration
	}{
		"at once":      {[]int{8, 8, 8, 8, 8, 8}, 0, 100 * time.Millisecond},
		"after a turn": {[]int{16, 12, 8, 8, 8, 8}, time.Second, 1400 * time.Millisecond},
		"leaves again": {[]int{16, 8, 16, 16, 9, 9}, 2 * second, 2400 * time.Millisecond},
		"never":        {[]int{16, 16, 13, 13, 13, 13}, 3 * second, 3 * second},
	} {
		if got := within(readings(tc.limits...), 0, 3*second, 8); got < tc.from || got > tc.to {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestRecoveryLooksAtWholeSeconds(t *testing.T) {
	var results []flood.Result
	for ms := range 6000 { // a thousand a second, half of them before 2 s
		at := time.Duration(ms) * time.Millisecond
		if ms >= 2000 || ms%2 == 0 {
			results = append(results, flood.Result{Due: at, Status: 200})
		}
	}
	got, never := recovery(loadOf(results...), 0, 6*second, 1000)
	if never || got != 2*second {
		t.Errorf("%s, %t", got, never)
	}
	if _, never := recovery(loadOf(results...), 0, 6*second, 1100); !never {
		t.Error("recovered to more than there was")
	}
}

func TestLossIsJudgedAtTheSurvivors(t *testing.T) {
	lost := 20 * second
	load := loadOf(
		flood.Result{Kind: critical, Edge: 0, Due: 15 * second, Took: 10, Status: 200},
		flood.Result{Kind: critical, Edge: lostRegion, Due: 21 * second, Took: second},
		flood.Result{Kind: critical, Edge: 1, Due: 21 * second, Took: 30, Status: 200},
		flood.Result{Kind: critical, Edge: 1, Due: 22 * second, Took: 30, Status: 503},
		flood.Result{Kind: bulk, Edge: 0, Due: lost, Took: second, Status: 503},
		flood.Result{Kind: bulk, Edge: 1, Due: lost, Took: second / 2, Status: 503},
		flood.Result{Kind: bulk, Edge: 1, Due: lost + second, Took: 1, Status: 503},
	)
	got := lossOf(load, lost)
	if len(got.base) != 1 || len(got.after) != 1 || got.critical.sent != 2 || got.critical.ok != 1 || got.shedding != second {
		t.Errorf("%+v", got)
	}
}

func TestExitStatusTellsBrokenFromNotJudged(t *testing.T) {
	good, bad := judge.AtMost("a", 1, "", 2), judge.AtMost("a", 3, "", 2)
	for want, bars := range map[int][]judge.Bar{0: {good}, 1: {good.Refuse("busy"), bad, good}, 3: {good, bad.Refuse("busy")}} {
		r := report{bars: bars}
		if got := r.status(); got != want {
			t.Errorf("%+v: %d", bars, got)
		}
	}
}
