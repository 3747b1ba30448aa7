package drill

import (
	"math"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/load"
)

func refused(reason string, after time.Duration) func(*load.Result) {
	return func(r *load.Result) { r.Status, r.Reason, r.Refused, r.Latency = 503, reason, after, after }
}

func both(changes ...func(*load.Result)) func(*load.Result) {
	return func(r *load.Result) {
		for _, change := range changes {
			change(r)
		}
	}
}

func edge(region string) func(*load.Result) { return func(r *load.Result) { r.Edge = region } }

func bulk(r *load.Result) { r.Kind = logs }

func TestShedIsWhatIsRefusedForNowAndFailedTheRest(t *testing.T) {
	rec := recorded(nil, at(0, nil), at(1, failed), at(2, refused("overload", time.Millisecond)), at(3, func(r *load.Result) { r.Status = 429 }))
	shed := Invariant{Metric: "shed", Bound: 50, scope: whole()}
	if v := shed.judge(rec); !v.Pass || v.Value != 50 || v.Samples != 4 {
		t.Errorf("%+v", v)
	}
	shed.Bound = 49
	if v := shed.judge(rec); v.Pass {
		t.Errorf("at most 49: %+v", v)
	}
	shed.AtLeast, shed.Bound = true, 51
	if v := shed.judge(rec); v.Pass {
		t.Errorf("at least 51: %+v", v)
	}
	failures := Invariant{Metric: "failed", Bound: 1, scope: whole()}
	if v := failures.judge(rec); !v.Pass || v.Value != 1 {
		t.Errorf("%+v", v)
	}
	failures.Bound = 0
	if v := failures.judge(rec); v.Pass {
		t.Errorf("%+v", v)
	}
}

func TestScopeNarrowsByTenantAndEdge(t *testing.T) {
	of := func(tenant string) func(*load.Result) { return func(r *load.Result) { r.Tenant = tenant } }
	rec := recorded(nil, at(0, of("a")), at(1, both(of("b"), failed)), at(2, both(of("a"), edge("us-1"))))
	for name, s := range map[string]scope{
		"tenant":          {until: time.Hour, tenant: "b"},
		"edge":            {until: time.Hour, edge: "us-1"},
		"tenant and edge": {until: time.Hour, tenant: "a", edge: "eu-1"},
	} {
		inv := Invariant{Metric: "success", AtLeast: true, scope: s}
		if v := inv.judge(rec); v.Samples != 1 || v.Value != map[bool]float64{true: 0, false: 100}[name == "tenant"] {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestSlowdownComparesWithTheTimeBeforeTheFirstStep(t *testing.T) {
	rec := recorded([]Step{{Name: "s", At: time.Second}})
	for n := range 100 {
		rec.add(at(n, func(r *load.Result) { r.Latency = 10 * time.Millisecond }))
		rec.add(at(1000+n, func(r *load.Result) { r.Latency = 35 * time.Millisecond }))
		rec.add(at(n, both(failed, func(r *load.Result) { r.Latency = time.Hour })))
	}
	inv := Invariant{Metric: "slowdown", Bound: 3.5, scope: scope{from: time.Second, until: time.Hour}}
	if v := inv.judge(rec); !v.Pass || v.Value != 3.5 || v.Samples != 100 {
		t.Errorf("%+v", v)
	}
	inv.Bound = 3
	if v := inv.judge(rec); v.Pass {
		t.Errorf("%+v", v)
	}
	rec.steps[0].At = 0
	if v := inv.judge(rec); v.Pass || v.Note == "" {
		t.Errorf("without a base: %+v", v)
	}
}

func TestP999IsTheWorstOfAThousand(t *testing.T) {
	rec := recorded(nil)
	for n := 1; n <= 2000; n++ {
		rec.add(at(n, func(r *load.Result) { r.Latency = time.Duration(n) * time.Millisecond }))
	}
	inv := Invariant{Metric: "p999", Bound: 1998, scope: whole()}
	if v := inv.judge(rec); !v.Pass || v.Value != 1998 {
		t.Errorf("%+v", v)
	}
	inv.Bound = 1997
	if v := inv.judge(rec); v.Pass {
		t.Errorf("%+v", v)
	}
}

func TestFirstShedIsTheSlowestRegionsAndForCapacityOnly(t *testing.T) {
	inv := Invariant{Metric: "first_shed", Bound: 1.2, scope: scope{from: time.Second, until: 10 * time.Second, class: "bulk"}}
	results := []load.Result{
		at(500, both(bulk, refused("overload", 0))), // before the moment
		at(1200, both(bulk, refused("no-region", time.Millisecond))),
		at(1300, refused("overload", time.Millisecond)), // critical
		at(1400, both(bulk, refused("overload", 100*time.Millisecond))),
		at(1500, both(bulk, edge("us-1"))),
		at(2000, both(bulk, edge("us-1"), refused("queue-full", 200*time.Millisecond))),
		at(3000, both(bulk, edge("us-1"), refused("overload", time.Millisecond))),
	}
	if v := inv.judge(recorded(nil, results...)); !v.Pass || v.Value != 1.2 || v.Samples != 5 {
		t.Errorf("%+v", v)
	}
	inv.Bound = 1.1
	if v := inv.judge(recorded(nil, results...)); v.Pass {
		t.Errorf("%+v", v)
	}
	inv.Bound = 100
	v := inv.judge(recorded(nil, append(results, at(1000, both(bulk, edge("eu-2"))))...))
	if v.Pass || v.Note != "nothing was shed at eu-2" {
		t.Errorf("a region that shed nothing: %+v", v)
	}
}

func TestRefusalForWantOfARegionIsNotShedding(t *testing.T) {
	inv := Invariant{Metric: "first_shed", Bound: 1, scope: whole()}
	for _, reason := range otherReasons {
		if v := inv.judge(recorded(nil, at(0, refused(reason, time.Millisecond)))); v.Pass {
			t.Errorf("%s: %+v", reason, v)
		}
	}
}

func TestShareIsOfSuccesses(t *testing.T) {
	rec := recorded(nil, append(served(3, 5), at(100, failed))...)
	for bound, pass := range map[float64]bool{40: true, 39: false} {
		inv := Invariant{Metric: "share", Bound: bound, region: "eu-2", scope: scope{until: 2 * time.Second}}
		if v := inv.judge(rec); v.Pass != pass || v.Value != 40 || v.Samples != 20 {
			t.Errorf("%+v", v)
		}
	}
	inv := Invariant{Metric: "share", AtLeast: true, Bound: 41, region: "eu-2", scope: scope{until: 2 * time.Second}}
	if v := inv.judge(rec); v.Pass {
		t.Errorf("%+v", v)
	}
}

func movement(metric string, counts ...int) *Invariant {
	return &Invariant{Metric: metric, region: "eu-2", by: 30, Bound: 0, scope: scope{until: time.Duration(len(counts)) * time.Second}}
}

func TestSwingIsTheDeviationBeyondTheNoise(t *testing.T) {
	for name, c := range map[string]struct {
		counts []int
		want   float64
	}{
		"still":           {[]int{10, 10, 10}, 0},
		"noise":           {[]int{5, 6, 5, 4}, 0},
		"all or nothing":  {[]int{10, 0, 10, 0}, 50},
		"between 2 and 8": {[]int{2, 8, 2, 8}, math.Sqrt(900 - 160)},
	} {
		v := movement("swing", c.counts...).judge(recorded(nil, served(c.counts...)...))
		if math.Abs(v.Value-c.want) > 0.01 || v.Pass != (c.want == 0) {
			t.Errorf("%s: %+v, want %g", name, v, c.want)
		}
	}
}

func TestJumpIsTheLargestStep(t *testing.T) {
	for _, counts := range [][]int{{1, 3, 9, 8}, {9, 3, 4}} {
		v := movement("jump", counts...).judge(recorded(nil, served(counts...)...))
		if math.Abs(v.Value-60) > 1e-9 || v.Pass {
			t.Errorf("%v: %+v", counts, v)
		}
	}
}

func TestReversalsCountTurnsNotNoise(t *testing.T) {
	for name, c := range map[string]struct {
		counts []int
		want   float64
	}{
		"still":                {[]int{5, 5, 5}, 0},
		"noise":                {[]int{5, 6, 4, 6, 5}, 0},
		"down":                 {[]int{10, 8, 6, 7, 4, 2, 0}, 0},
		"down and up again":    {[]int{10, 8, 5, 2, 0, 2, 5, 9}, 1},
		"to and fro":           {[]int{10, 2, 9, 3, 8}, 3},
		"a dip on the way up":  {[]int{0, 5, 3, 9, 6, 7}, 1},
		"small waves on a way": {[]int{10, 9, 10, 8, 7, 8, 6, 4, 5, 2}, 0},
	} {
		if v := movement("reversals", c.counts...).judge(recorded(nil, served(c.counts...)...)); v.Value != c.want || v.Pass != (c.want == 0) {
			t.Errorf("%s: %+v, want %g", name, v, c.want)
		}
	}
}

func TestEveryMetricNeedsSamples(t *testing.T) {
	for name := range metrics {
		inv := Invariant{Metric: name, AtLeast: metrics[name].atLeast, Bound: 0, scope: whole(), region: "eu-2", by: 10}
		if v := inv.judge(recorded([]Step{{At: time.Second}})); v.Pass {
			t.Errorf("%s of nothing: %+v", name, v)
		}
	}
}
