package drill

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/load"
)

// seenAt scrapes a text of an agent so many milliseconds after the beginning.
func seenAt(rec *record, agent, region string, ms int, wanted []string, lines ...string) {
	w := &witness{agent: agent, region: region}
	text := strings.Join(lines, "\n") + "\n"
	rec.agents.take(w, only([]byte(text), wanted), wanted, epoch.Add(time.Duration(ms)*time.Millisecond))
}

var twoCounters = []string{"a_total", "b_total"}

func TestIncreaseIsThatOfTheWindow(t *testing.T) {
	for name, c := range map[string]struct {
		values     []float64 // a second, from 0 on; NaN: the series is not there
		from, till time.Duration
		want       float64
	}{
		"it was there":        {[]float64{100, 101, 103, 103}, 0, time.Minute, 3},
		"it appeared":         {[]float64{math.NaN(), 2, 3}, 0, time.Minute, 3},
		"a window":            {[]float64{0, 10, 20, 30, 40}, time.Second, 3 * time.Second, 20},
		"half a second of it": {[]float64{0, 10, 20, 30}, 1500 * time.Millisecond, 3 * time.Second, 15},
		"nothing":             {[]float64{5, 5, 5}, 0, time.Minute, 0},
		"a restart":           {[]float64{50, 60, 4, 6}, 0, time.Minute, 16},
		"before the window":   {[]float64{0, 10, 10, 10}, time.Second, time.Minute, 0},
	} {
		rec := recorded(nil)
		for second, v := range c.values {
			lines := []string{"# TYPE b_total counter", "b_total 1"}
			if !math.IsNaN(v) {
				lines = append(lines, "# TYPE a_total counter", fmt.Sprint(`a_total{x="y"} `, v))
			}
			seenAt(rec, "a1", "eu-1", 1000*second, twoCounters, lines...)
		}
		inv := Invariant{Metric: "prometheus", series: selection{name: "a_total", take: takeIncrease}, scope: scope{from: c.from, until: c.till}}
		if v := inv.judge(rec); math.Abs(v.Value-c.want) > 1e-9 || v.Note != "" {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestSeriesAreSelectedAndSummedUp(t *testing.T) {
	wanted := []string{"g", "t_total", "h_count"}
	rec := recorded(nil)
	for ms, values := range [][2]int{{1, 10}, {7, 5}, {2, 6}} {
		seenAt(rec, "a1", "eu-1", 1000*(ms+1), wanted, "# TYPE g gauge", fmt.Sprintf(`g{k="x",l="1"} %d`, values[0]), fmt.Sprintf(`g{k="y"} %d`, 100+values[0]),
			"# TYPE t_total counter", fmt.Sprintf("t_total %d", ms), "# TYPE other gauge", "other 5",
			"# TYPE h histogram", `h_bucket{le="1"} 1`, `h_bucket{le="+Inf"} 3`, "h_sum 4", fmt.Sprintf("h_count %d", 3*ms))
		seenAt(rec, "a2", "eu-2", 1000*(ms+1), wanted, "# TYPE g gauge", fmt.Sprintf(`g{k="x"} %d`, values[1]), "# TYPE t_total counter", fmt.Sprintf("t_total %d", 2*ms))
	}
	x := map[string]string{"k": "x"}
	for name, c := range map[string]struct {
		s       selection
		edge    string
		atLeast bool
		value   float64
		samples int
	}{
		"max of two agents":        {selection{"g", x, takeMax}, "", false, 10, 6},
		"min":                      {selection{"g", x, takeMin}, "", false, 1, 6},
		"the worst last":           {selection{"g", x, takeLast}, "", false, 6, 2},
		"the worst last, at least": {selection{"g", x, takeLast}, "", true, 2, 2},
		"of one region":            {selection{"g", x, takeMax}, "eu-1", false, 7, 3},
		"of another label":         {selection{"g", map[string]string{"k": "y"}, takeMin}, "", false, 101, 3},
		"increase of all":          {selection{"t_total", nil, takeIncrease}, "", false, 6, 6},
		"part of a histogram":      {selection{"h_count", nil, takeIncrease}, "", false, 6, 6},
		"never moved":              {selection{"none_total", nil, takeIncrease}, "eu-2", false, 0, 3},
	} {
		inv := Invariant{Metric: "prometheus", AtLeast: c.atLeast, series: c.s, scope: scope{edge: c.edge, until: time.Minute}}
		if v := inv.judge(rec); v.Value != c.value || v.Samples != c.samples || v.Note != "" {
			t.Errorf("%s: %+v", name, v)
		}
	}
	for _, name := range []string{"none", "other", "h_sum"} {
		inv := Invariant{Metric: "prometheus", Bound: 9, series: selection{name: name, take: takeMax}, scope: whole()}
		if v := inv.judge(rec); v.Pass {
			t.Errorf("%s was not asked for: %+v", name, v)
		}
	}
}

func TestAgentThatWasNeverReachedProvesNothing(t *testing.T) {
	inv := Invariant{Metric: "prometheus", series: selection{name: "a_total", take: takeIncrease}, scope: whole()}
	if v := inv.judge(recorded(nil)); v.Pass {
		t.Errorf("%+v", v)
	}
}

// counted is a second of an agent that observes traffic; each number is a counter.
func counted(second, ok, overload, timeout, noRoute, bulk int) []string {
	return []string{"# TYPE tidegate_requests_total counter",
		fmt.Sprintf(`tidegate_requests_total{route="a",class="critical",region="eu-1",outcome="ok"} %d`, ok),
		fmt.Sprintf(`tidegate_requests_total{route="a",class="critical",region="eu-2",outcome="ok"} %d`, ok),
		fmt.Sprintf(`tidegate_requests_total{route="a",class="critical",region="",outcome="overload"} %d`, overload),
		fmt.Sprintf(`tidegate_requests_total{route="a",class="critical",region="",outcome="timeout"} %d`, timeout),
		fmt.Sprintf(`tidegate_requests_total{route="-",class="bulk",region="",outcome="no-route"} %d`, noRoute),
		fmt.Sprintf(`tidegate_requests_total{route="b",class="bulk",region="eu-1",outcome="ok"} %d`, bulk),
		"# TYPE tidegate_request_seconds histogram",
		fmt.Sprintf(`tidegate_request_seconds_bucket{route="a",class="critical",region="eu-1",le="0.01"} %d`, 50*second),
		fmt.Sprintf(`tidegate_request_seconds_bucket{route="a",class="critical",region="eu-1",le="0.1"} %d`, 100*second),
		fmt.Sprintf(`tidegate_request_seconds_bucket{route="a",class="critical",region="eu-1",le="+Inf"} %d`, 100*second),
		"tidegate_request_seconds_sum 1", fmt.Sprintf("tidegate_request_seconds_count %d", 100*second)}
}

func TestObservedTrafficIsJudgedByWhatAgentsCount(t *testing.T) {
	rec := recorded(nil)
	rec.observing = true
	wanted := (&Drill{Observe: true}).wanted()
	for second := range 4 {
		seenAt(rec, "a1", "eu-1", 1000*second, wanted, counted(second, 40*second, 15*second, 5*second, 300*second, 100*second)...)
	}
	in := func(class, edge string) scope {
		return scope{from: time.Second, until: 3 * time.Second, class: class, edge: edge}
	}
	for name, c := range map[string]struct {
		inv     Invariant
		value   float64
		samples int
	}{
		"success":                {Invariant{Metric: "success", AtLeast: true, scope: in("critical", "")}, 80, 200},
		"success of everything":  {Invariant{Metric: "success", AtLeast: true, scope: in("", "eu-1")}, 90, 400},
		"shed":                   {Invariant{Metric: "shed", scope: in("critical", "")}, 15, 200},
		"failed":                 {Invariant{Metric: "failed", scope: in("", "")}, 10, 400},
		"share":                  {Invariant{Metric: "share", region: "eu-2", scope: in("critical", "")}, 50, 160},
		"p99 between two bounds": {Invariant{Metric: "p99", scope: in("critical", "")}, 98.2, 200},
		"at an edge not seen":    {Invariant{Metric: "success", AtLeast: true, scope: in("", "eu-2")}, 0, 0},
	} {
		if v := c.inv.judge(rec); math.Abs(v.Value-c.value) > 1e-6 || v.Samples != c.samples {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestEveryOutcomeOfAgentsIsSorted(t *testing.T) {
	for name, want := range map[string]struct {
		outcome load.Outcome
		counts  bool
	}{
		"ok": {load.Succeeded, true}, "displaced": {load.Shed, true}, "rate-limited": {load.Shed, true}, "no-region": {load.Shed, true},
		"service-error": {load.Failed, true}, "mesh-lost": {load.Failed, true}, "canceled": {load.Failed, true}, "what comes later": {load.Failed, true},
		"no-route": {load.Failed, false}, "service-refused": {load.Failed, false},
	} {
		if outcome, counts := outcomeSeen(name); counts != want.counts || counts && outcome != want.outcome {
			t.Errorf("%s: %v, counts: %v", name, outcome, counts)
		}
	}
}

func TestQuantileBeyondTheLastBucketIsItsBound(t *testing.T) {
	for name, c := range map[string]struct {
		all  []bucket
		want float64
	}{
		"in the first":  {[]bucket{{1, 100}, {2, 100}, {math.Inf(1), 100}}, 0.99},
		"in the second": {[]bucket{{1, 0}, {3, 100}, {math.Inf(1), 100}}, 2.98},
		"beyond":        {[]bucket{{1, 10}, {2, 20}, {math.Inf(1), 100}}, 2},
	} {
		if got := quantileOf(c.all, 0.99); got != c.want {
			t.Errorf("%s: %g, want %g", name, got, c.want)
		}
	}
}
