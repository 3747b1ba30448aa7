package policy

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawRate is what a report may say, absurdities included.
func drawRate(t *rapid.T, label string) float64 {
	return rapid.OneOf(
		rapid.Float64Range(0, 2000),
		rapid.SampledFrom([]float64{0, math.NaN(), math.Inf(1), math.Inf(-1), -5, math.MaxFloat64, math.SmallestNonzeroFloat64, 1e-300, 1e9}),
	).Draw(t, label)
}

func drawLoad(t *rapid.T) Load {
	l := Load{Ready: rapid.IntRange(-1, 3).Draw(t, "ready"), Capacity: drawRate(t, "capacity")}
	for c := range l.Demand {
		l.Demand[c] = drawRate(t, "demand")
	}
	return l
}

var spillPolicies = []string{
	simOne, "service \"svc\" {\n  beyond_group = true\n}", "service \"svc\" {\n  failover = \"none\"\n}",
	"service \"svc\" {\n  failover = [\"r3\", \"r1\", \"r9\", \"r0\"]\n}",
}

// spillWorld is a view that changes at random.
type spillWorld struct {
	view View
	now  time.Time
}

func (w *spillWorld) change(t *rapid.T) {
	v := &w.view
	v.Draining = rapid.IntRange(0, 9).Draw(t, "drains") == 0
	if rapid.Bool().Draw(t, "home reports") {
		v.HomeReported, v.Home = w.now, map[string]Load{"svc": drawLoad(t)}
	}
	v.Overrides = map[string]Override{}
	v.Regions = map[string]*Region{}
	for i := range rapid.IntRange(0, 6).Draw(t, "regions") {
		r := drawRegion(t, fmt.Sprint("r", i+1))
		r.Reported = w.now.Add(-time.Duration(rapid.IntRange(0, 20).Draw(t, "age")) * time.Second)
		r.Ready = map[string]Load{"svc": drawLoad(t)}
		r.RTTs = map[string]time.Duration{"r0": time.Duration(rapid.Int64().Draw(t, "rtt")), "r2": r.RTT}
		v.Regions[r.Name] = r
	}
	for i := range 3 {
		if kind := rapid.IntRange(0, 6).Draw(t, "override"); kind > 0 && kind < 4 {
			v.Overrides[fmt.Sprint("r", i)] = Override{Kind: OverrideKind(kind)}
		}
	}
	v.Local = map[string]*Pool{}
	if rapid.IntRange(0, 4).Draw(t, "instances") > 0 {
		v.Local["svc"] = simPool
	}
}

// see is the view as it is now, like each that an agent builds.
func (w *spillWorld) see() *View {
	o := &w.view
	return &View{
		Agent: "a", Region: "r0", Group: "g0", Built: w.now, Policy: o.Policy, Draining: o.Draining, Local: o.Local,
		Regions: o.Regions, Home: o.Home, HomeReported: o.HomeReported, Overrides: o.Overrides,
	}
}

// fresh is see with a new report of every region that has one.
func (w *spillWorld) fresh() *View {
	v := w.see()
	v.HomeReported = w.now
	v.Regions = map[string]*Region{}
	for name, r := range w.view.Regions {
		again := *r
		again.Reported = w.now
		v.Regions[name] = &again
	}
	return v
}

func checkShares(t *rapid.T, v *View) {
	shares := v.Shares["svc"]
	sum := 0.0
	for _, leg := range shares.Legs {
		if !(leg.Weight >= 0 && leg.Weight <= 1+1e-9) || !(leg.Target >= 0 && leg.Target <= 1+1e-9) {
			t.Fatalf("no share: %+v", leg)
		}
		sum += leg.Weight
	}
	if math.Abs(sum-1) > 1e-6 || shares.Legs[0].Region != v.Region || shares.Reason == "" {
		t.Fatalf("weights sum to %v: %+v", sum, shares)
	}
	for _, in := range shares.Expected {
		for _, rate := range in.Rates {
			if !(rate >= 0 && rate <= 5*maxRate) {
				t.Fatalf("expects %+v", in)
			}
		}
	}
	checkPlanWeights(t, v)
}

func checkPlanWeights(t *rapid.T, v *View) {
	f, allowed := v.Policy.Services()["svc"].Failover, drawRegionNames(t, "allowed")
	plan := v.Plan(Target{Service: "svc"}, f, allowed, nil)
	sum, good := 0.0, 0
	for _, leg := range plan.Legs {
		if leg.LastResort && leg.Weight != 0 || !(leg.Weight >= 0) {
			t.Fatalf("%+v", leg)
		}
		if !leg.LastResort {
			good++
		}
		sum += leg.Weight
	}
	if good > 0 && math.Abs(sum-1) > 1e-6 {
		t.Fatalf("weights of a plan sum to %v: %+v", sum, plan.Legs)
	}
}

func TestSpillSharesSumToOneWhateverIsReported(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := spillWorld{now: planTime}
		s := NewSpill(SpillConfig{})
		for range rapid.IntRange(1, 6).Draw(t, "changes") {
			w.view.Policy = simPolicyOf(t, rapid.SampledFrom(spillPolicies).Draw(t, "policy"))
			w.change(t)
			for range 3 {
				w.now = w.now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
				v := w.see()
				s.Update(v, w.now)
				checkShares(t, v)
				again := w.see()
				s.Update(again, w.now)
				if !sameWeights(again.Shares["svc"], v.Shares["svc"], 1e-9) {
					t.Fatalf("a second look moves %+v to %+v", v.Shares["svc"], again.Shares["svc"])
				}
			}
		}
	})
}

func simPolicyOf(t *rapid.T, source string) *Policy {
	p, diags := Parse(File{Name: "sim.hcl", Src: []byte(source)})
	if diags != nil {
		t.Fatal(diags)
	}
	return p
}

func TestSpillConvergesWhenNothingChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := spillWorld{now: planTime}
		w.view.Policy = simPolicyOf(t, rapid.SampledFrom(spillPolicies).Draw(t, "policy"))
		s := NewSpill(SpillConfig{})
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			w.change(t)
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, "ms")) * time.Millisecond)
			s.Update(w.see(), w.now)
		}
		var last *Shares
		for sec := range 400 {
			w.now = w.now.Add(500 * time.Millisecond)
			v := w.fresh()
			s.Update(v, w.now)
			if sec > 300 && !sameWeights(last, v.Shares["svc"], 1e-3) {
				t.Fatalf("after %d reports still from %+v to %+v", sec, last, v.Shares["svc"])
			}
			last = v.Shares["svc"]
		}
	})
}

func sameWeights(a, b *Shares, within float64) bool {
	for _, s := range []*Shares{a, b} {
		for _, leg := range s.Legs {
			if math.Abs(a.Weight(leg.Region)-b.Weight(leg.Region)) > within {
				return false
			}
		}
	}
	return true
}

func TestAbsurdReportsLeaveNoTrace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := spillWorld{now: planTime}
		w.view.Policy = simPolicyOf(t, simOne)
		s := NewSpill(SpillConfig{})
		for range rapid.IntRange(1, 5).Draw(t, "changes") {
			w.change(t)
			w.now = w.now.Add(500 * time.Millisecond)
			s.Update(w.see(), w.now)
		}
		calm := Load{Ready: 1, Capacity: 1000, Demand: byClass(400)}
		w.view.Home, w.view.Overrides, w.view.Draining = map[string]Load{"svc": calm}, nil, false
		w.view.Local = map[string]*Pool{"svc": simPool}
		for _, r := range w.view.Regions {
			r.Ready = map[string]Load{"svc": calm}
		}
		var v *View
		for range 200 {
			w.now = w.now.Add(500 * time.Millisecond)
			v = w.fresh()
			s.Update(v, w.now)
		}
		if got := v.Shares["svc"].Weight("r0"); got != 1 {
			t.Fatalf("100 s later home keeps %v: %+v", got, v.Shares["svc"])
		}
	})
}
