package drill

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/load"
	"github.com/tidegate/tidegate/policy"
)

var (
	alarm = &load.Kind{Name: "alarm", Class: policy.Critical}
	logs  = &load.Kind{Name: "logs", Class: policy.Bulk}
	epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
)

// at is a request due so many milliseconds after the beginning, served by
// eu-1 after 10 ms.
func at(ms int, change func(*load.Result)) load.Result {
	r := load.Result{Due: epoch.Add(time.Duration(ms) * time.Millisecond), Latency: 10 * time.Millisecond,
		Edge: "eu-1", Agent: "eu-1-agent-1", Kind: alarm, Status: 200, Region: "eu-1"}
	if change != nil {
		change(&r)
	}
	return r
}

func failed(r *load.Result) { r.Status = 500 }

func recorded(steps []Step, results ...load.Result) *record {
	rec := newRecord(steps)
	rec.began, rec.results = epoch, results
	return rec
}

func whole() scope { return scope{until: time.Hour} }

func TestSuccessCountsWhatIsDueInTheWindow(t *testing.T) {
	rec := recorded(nil, at(999, failed), at(1000, nil), at(1500, failed), at(1999, nil), at(2000, failed))
	inv := Invariant{Metric: "success", AtLeast: true, Bound: 66, scope: scope{from: time.Second, until: 2 * time.Second}}
	v := inv.judge(rec)
	if !v.Pass || v.Samples != 3 || v.Value < 66.6 || v.Value > 66.7 || v.Unit != "%" {
		t.Errorf("%+v", v)
	}
	inv.Bound = 67
	if v := inv.judge(rec); v.Pass {
		t.Errorf("%+v", v)
	}
}

func TestSuccessIsA2xxInTime(t *testing.T) {
	rec := recorded(nil,
		at(0, func(r *load.Result) { r.Latency = time.Second }),
		at(1, func(r *load.Result) { r.Latency = time.Second + 1 }),
		at(2, func(r *load.Result) { r.Err = errors.New("broken off") }),
		at(3, func(r *load.Result) { r.Status = 503 }))
	inv := Invariant{Metric: "success", AtLeast: true, Bound: 100, scope: whole(), within: time.Second}
	if v := inv.judge(rec); v.Value != 25 || v.Samples != 4 {
		t.Errorf("%+v", v)
	}
	inv.within = 0
	if v := inv.judge(rec); v.Value != 50 {
		t.Errorf("without a limit: %+v", v)
	}
}

func TestScopeNarrowsByKindAndClass(t *testing.T) {
	rec := recorded(nil, at(0, nil), at(1, func(r *load.Result) { r.Kind = logs; r.Status = 500 }))
	for name, s := range map[string]scope{
		"kind":  {until: time.Hour, kinds: []string{"alarm"}},
		"class": {until: time.Hour, class: "critical"},
	} {
		inv := Invariant{Metric: "success", AtLeast: true, Bound: 100, scope: s}
		if v := inv.judge(rec); !v.Pass || v.Samples != 1 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestLostEdgesDoNotCountAsSurviving(t *testing.T) {
	in := func(region, agent string, ms int) load.Result {
		return at(ms, func(r *load.Result) { r.Edge, r.Agent, r.Status = region, agent, 500 })
	}
	steps := []Step{
		{Name: "cut", At: 10 * time.Second, For: 10 * time.Second, Fault: admin.Fault{Kind: admin.FaultRegionOutage, Region: "eu-2"}},
		{Name: "crash", At: 40 * time.Second, Fault: admin.Fault{Kind: admin.FaultAgentCrash, Agent: "eu-1-agent-2"}},
	}
	rec := recorded(steps, at(15000, nil), at(50000, nil),
		in("eu-2", "eu-2-agent-1", 5000), in("eu-2", "eu-2-agent-1", 15000), in("eu-2", "eu-2-agent-1", 24999),
		in("eu-1", "eu-1-agent-2", 35000), in("eu-1", "eu-1-agent-2", 59000))
	inv := Invariant{Metric: "success", AtLeast: true, Bound: 100, scope: scope{until: time.Minute, surviving: true}}
	if v := inv.judge(rec); !v.Pass || v.Samples != 2 {
		t.Errorf("surviving: %+v", v)
	}
	rec.results = append(rec.results, in("eu-2", "eu-2-agent-1", 4999), in("eu-2", "eu-2-agent-1", 25000), in("eu-1", "eu-1-agent-2", 34999))
	if v := inv.judge(rec); v.Samples != 5 {
		t.Errorf("just outside of the loss: %+v", v)
	}
	inv.scope.surviving = false
	if v := inv.judge(rec); v.Samples != 10 {
		t.Errorf("all: %+v", v)
	}
}

func TestP99IsOfAnswers(t *testing.T) {
	rec := recorded(nil)
	for n := 1; n <= 100; n++ {
		rec.add(at(n, func(r *load.Result) { r.Latency = time.Duration(n) * time.Millisecond }))
	}
	rec.add(at(0, func(r *load.Result) { r.Err, r.Latency = errors.New("no answer"), time.Hour }))
	inv := Invariant{Metric: "p99", Bound: 99, scope: whole()}
	if v := inv.judge(rec); !v.Pass || v.Value != 99 || v.Samples != 100 || v.Unit != "ms" {
		t.Errorf("%+v", v)
	}
	inv.Bound = 98.9
	if v := inv.judge(rec); v.Pass {
		t.Errorf("%+v", v)
	}
}

func TestTooFewSamplesProveNothing(t *testing.T) {
	inv := Invariant{Metric: "success", AtLeast: true, Bound: 50, scope: whole(), samples: 3}
	if v := inv.judge(recorded(nil, at(0, nil), at(1, nil))); v.Pass || v.Note != "only 2 samples, 3 are needed" {
		t.Errorf("%+v", v)
	}
	for _, metric := range []string{"success", "p99", "plan_changes"} {
		inv := Invariant{Metric: metric, AtLeast: metric == "success", scope: whole()}
		if v := inv.judge(recorded(nil)); v.Pass {
			t.Errorf("%s of nothing: %+v", metric, v)
		}
	}
}

// served is ten requests a second; in each second so many of them went to eu-2.
func served(counts ...int) []load.Result {
	var all []load.Result
	for second, own := range counts {
		for n := range 10 {
			all = append(all, at(second*1000+n*100, func(r *load.Result) {
				if n < own {
					r.Region = "eu-2"
				}
			}))
		}
	}
	return all
}

func TestReturnIsWhenTheRegionServesItsShareForGood(t *testing.T) {
	steps := []Step{{Name: "cut", At: 2 * time.Second, For: 2 * time.Second, Fault: admin.Fault{Kind: admin.FaultRegionOutage, Region: "eu-2"}}}
	for name, c := range map[string]struct {
		counts  []int
		seconds float64
		note    string
	}{
		"at once":                  {[]int{8, 8, 0, 0, 8, 8, 8, 8}, 1, ""},
		"in the third second":      {[]int{8, 8, 0, 0, 0, 4, 8, 8, 8}, 3, ""},
		"a ramp":                   {[]int{8, 8, 0, 0, 2, 4, 6, 7, 8, 8, 8}, 5, ""},
		"one poor second":          {[]int{8, 8, 0, 0, 8, 6, 8, 8, 9, 8}, 1, ""},
		"back, lost and back":      {[]int{8, 8, 0, 0, 8, 0, 8, 8, 8}, 3, ""},
		"never":                    {[]int{8, 8, 0, 0, 0, 0, 0, 0}, 4, "traffic has not returned"},
		"half of it":               {[]int{8, 8, 0, 0, 8, 4, 4, 4}, 4, "traffic has not returned"},
		"lost at the end":          {[]int{8, 8, 0, 0, 8, 8, 8, 0}, 4, "traffic has not returned"},
		"it had nothing to return": {[]int{0, 0, 0, 0, 8, 8}, 0, "the region served nothing of this before the fault"},
	} {
		inv := Invariant{Metric: "return", Bound: 100, region: "eu-2",
			scope: scope{from: 4 * time.Second, until: time.Duration(len(c.counts)) * time.Second}}
		v := inv.judge(recorded(steps, served(c.counts...)...))
		if v.Value != c.seconds || v.Note != c.note || v.Pass != (c.note == "") {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestPlanChangesAreCountedBetweenEvents(t *testing.T) {
	count := func(a, b float64) planCount {
		return planCount{"a1": {"alarms": a, "logs": b}, "a2": {"alarms": 0}}
	}
	rec := recorded(nil)
	rec.plans = []planCount{count(5, 0), count(5, 0), count(6, 0), count(7, 1)}
	inv := Invariant{Metric: "plan_changes", Bound: 1}
	if v := inv.judge(rec); !v.Pass || v.Value != 1 || v.Samples != 9 {
		t.Errorf("one change an event: %+v", v)
	}
	rec.plans = append(rec.plans, count(7, 3))
	if v := inv.judge(rec); v.Pass || v.Value != 2 {
		t.Errorf("two changes after one event: %+v", v)
	}
	rec.plans = []planCount{{"a1": {"alarms": 9}}, {}, {"a1": {"alarms": 1}}}
	if v := inv.judge(rec); !v.Pass || v.Value != 1 {
		t.Errorf("an agent that started again: %+v", v)
	}
}

func TestLateGeneratorIsNoProof(t *testing.T) {
	d := &Drill{Name: "x", Invariants: []Invariant{{Name: "works", Metric: "success", AtLeast: true, Bound: 50, scope: whole()}}}
	rec := recorded(nil, at(0, nil))
	if rep := d.judge(rec, &load.Report{LateP99: 1000}); !rep.Pass || len(rep.Invariants) != 1 {
		t.Errorf("on time: %+v", rep)
	}
	for _, sum := range []*load.Report{{LateP99: 1001}, {Overruns: 1}} {
		rep := d.judge(rec, sum)
		if rep.Pass || len(rep.Invariants) != 2 || !strings.Contains(rep.Invariants[1].Note, "no judgement") {
			t.Errorf("late: %+v", rep)
		}
	}
}

func TestReportIsPrintedVerdictsFirst(t *testing.T) {
	var out strings.Builder
	(&Report{Drill: "x", Outcome: Broken, Seconds: 12, Invariants: []Verdict{
		{Name: "works", Pass: true, Value: 99.5, Unit: "%", Bound: 99, Samples: 200},
		{Name: "comes back", Value: 10, Unit: "s", Bound: 5, Samples: 100, Note: "traffic has not returned"},
	}}).Print(&out)
	want := `
FAIL  drill x, 12 s
  held    works          99.500 %        bound 99 (200 samples)
  BROKEN  comes back     10.000 s        bound 5 (100 samples)  traffic has not returned
`
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", &out, want)
	}
}
