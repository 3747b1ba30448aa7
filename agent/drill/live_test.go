package drill

import (
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/load"
)

// underWay are requests of one device, due so many milliseconds after the beginning,
// that have no answer.
func underWay(rec *record, dues ...int) {
	for n, due := range dues {
		rec.launched(at(due, func(r *load.Result) { r.Device, r.Number, r.Status = "d", uint64(n+1), 0 }))
	}
}

func slow(latency time.Duration) func(*load.Result) {
	return func(r *load.Result) { r.Latency = latency }
}

func TestLiveWindowCountsWhatWasDueInIt(t *testing.T) {
	for name, c := range map[string]struct {
		results  []load.Result
		underWay []int
		success  float64
		samples  int
	}{
		"nothing":                          {nil, nil, 0, 0},
		"answered":                         {[]load.Result{at(3000, nil), at(3500, failed)}, nil, 50, 2},
		"before and after it":              {[]load.Result{at(2999, nil), at(3000, nil), at(5000, nil)}, nil, 100, 1},
		"due before, answered in it":       {[]load.Result{at(2900, slow(time.Second)), at(3000, nil)}, nil, 100, 1},
		"young and under way":              {[]load.Result{at(3000, nil)}, []int{4000, 4999}, 100, 1},
		"overdue":                          {[]load.Result{at(3000, nil)}, []int{3999, 3000, 4000}, 100. / 3, 3},
		"overdue from before it":           {[]load.Result{at(3000, nil)}, []int{2999}, 100, 1},
		"long ago, with old ones after it": {[]load.Result{at(1000, nil), at(3000, nil), at(2900, nil), at(3100, failed)}, nil, 50, 2},
	} {
		rec := recorded(nil, c.results...)
		underWay(rec, c.underWay...)
		inv := Invariant{Metric: "success", AtLeast: true, Bound: 99}
		v := inv.during(rec.live(3*time.Second, 5*time.Second), 3*time.Second, 5*time.Second)
		if v.Value != c.success || v.Samples != c.samples {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestAnsweredRequestIsNotUnderWay(t *testing.T) {
	rec := recorded(nil)
	underWay(rec, 1000, 1001)
	rec.add(at(1000, func(r *load.Result) { r.Device, r.Number = "d", 1 }))
	if len(rec.pending) != 1 || len(rec.live(0, 10*time.Second).results) != 2 {
		t.Errorf("%d under way", len(rec.pending))
	}
}

func TestSteadyStateHoldsOrNot(t *testing.T) {
	success := Invariant{Name: "success", Metric: "success", AtLeast: true, Bound: 60}
	p99 := Invariant{Name: "p99", Metric: "p99", Bound: 50}
	before := func(ms int, change func(*load.Result)) load.Result { return at(-ms, change) }
	for name, c := range map[string]struct {
		results  []load.Result
		underWay []int
		holds    bool
	}{
		"well":             {[]load.Result{before(1000, nil), before(1500, nil), before(10, failed)}, nil, true},
		"failing":          {[]load.Result{before(1000, nil), before(1500, failed)}, nil, false},
		"slow":             {[]load.Result{before(1000, slow(51*time.Millisecond))}, nil, false},
		"without answers":  {[]load.Result{before(1000, nil)}, []int{-1500, -1400}, false},
		"without requests": {nil, nil, false},
		"sick long ago":    {[]load.Result{before(4000, failed), before(1000, nil)}, nil, true},
		"sick afterwards":  {[]load.Result{before(1000, nil), at(0, failed)}, nil, true},
	} {
		rec := recorded(nil, c.results...)
		underWay(rec, c.underWay...)
		s := Steady{For: 2 * time.Second, Bounds: []Invariant{success, p99}}
		if verdicts, holds := s.judge(rec); holds != c.holds || len(verdicts) != 2 {
			t.Errorf("%s: %+v", name, verdicts)
		}
	}
}
