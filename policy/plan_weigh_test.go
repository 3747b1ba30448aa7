package policy

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// sharedView is benchmarkView with shares: half at home, the rest at r1 and r2.
func sharedView() *View {
	v := benchmarkView()
	v.Overrides = map[string]Override{}
	v.Home = map[string]Load{"alarms": {Ready: 2, Capacity: 1000, Demand: byClass(1600)}}
	for n := 1; n <= 5; n++ {
		v.Regions[fmt.Sprint("r", n)].Ready["alarms"] = Load{Ready: 2, Capacity: 1000 * float64(n), Demand: byClass(400)}
	}
	v.Shares = map[string]*Shares{"alarms": {Reason: "it spills", Legs: []Share{{"r0", 0.5, 0.5}, {"r1", 0.3, 0.3}, {"r2", 0.2, 0.2}}}}
	return v
}

func weightsOf(p Plan) string {
	text := []string{}
	for _, leg := range p.Legs {
		mark := ""
		if leg.LastResort {
			mark = "!"
		}
		text = append(text, fmt.Sprintf("%s%s=%.2f", leg.Region, mark, leg.Weight))
	}
	return strings.Join(text, " ")
}

func TestPlanWeighsItsLegs(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(*View)
		f       Failover
		allowed []string
		want    string
	}{
		{"by the shares", nil, Failover{}, nil, "r0=0.50 r1=0.30 r2=0.20 r3=0.00 r4=0.00 r5=0.00"},
		{"without shares", func(v *View) { v.Shares = nil }, Failover{}, nil, "r0=1.00 r1=0.00 r2=0.00 r3=0.00 r4=0.00 r5=0.00"},
		{"what may not leave stays", nil, Failover{}, []string{"r0", "r2", "r3"}, "r0=0.80 r2=0.20 r3=0.00"},
		{"what may nowhere else stays", nil, Failover{}, []string{"r0"}, "r0=1.00"},
		{"what may not stay goes in proportion", nil, Failover{}, []string{"r1", "r2"}, "r1=0.60 r2=0.40"},
		{"where nobody has a share, by room", nil, Failover{}, []string{"r3", "r4"}, "r3=0.42 r4=0.58"},
		{"where no room is known, the nearest", func(v *View) {
			v.Regions["r3"].Ready["alarms"], v.Regions["r4"].Ready["alarms"] = Load{Ready: 1}, Load{Ready: 1}
		}, Failover{}, []string{"r3", "r4"}, "r3=1.00 r4=0.00"},
		{"no failover", nil, Failover{Mode: FailoverNone}, nil, "r0=1.00"},
		{"a region just down", func(v *View) { v.Regions["r1"].State = RegionDown }, Failover{}, nil, "r0=0.80 r2=0.20 r3=0.00 r4=0.00 r5=0.00"},
		{"a region that drains", func(v *View) { v.Regions["r1"].State = RegionDraining }, Failover{}, nil, "r0=0.80 r2=0.20 r3=0.00 r4=0.00 r5=0.00 r1!=0.00"},
		{"a silent one with a share", func(v *View) { v.Regions["r1"].Reported = planTime.Add(-time.Hour) }, Failover{}, nil, "r0=0.50 r1=0.30 r2=0.20 r3=0.00 r4=0.00 r5=0.00"},
		{"a silent one without", func(v *View) { v.Regions["r3"].Reported = planTime.Add(-time.Hour) }, Failover{}, nil, "r0=0.50 r1=0.30 r2=0.20 r4=0.00 r5=0.00"},
		{"an evacuated one", func(v *View) { v.Overrides["r1"] = Override{Kind: Evacuate} }, Failover{}, nil, "r0=0.80 r2=0.20 r3=0.00 r4=0.00 r5=0.00 r1!=0.00"},
		{"the own one evacuated", func(v *View) { v.Overrides["r0"] = Override{Kind: Evacuate} }, Failover{}, nil, "r1=0.60 r2=0.40 r3=0.00 r4=0.00 r5=0.00 r0!=0.00"},
		{"a pinned one", func(v *View) { v.Overrides["r1"] = Override{Kind: Pin} }, Failover{}, nil, "r0=0.80 r2=0.20 r3=0.00 r4=0.00 r5=0.00 r1!=0.00"},
		{"the own one pinned", func(v *View) { v.Overrides["r0"] = Override{Kind: Pin} }, Failover{}, []string{"r0", "r1"}, "r0=1.00 r1!=0.00"},
		{"an order that ran out", func(v *View) { v.Overrides["r1"] = Override{Kind: Pin, Expires: planTime} }, Failover{}, []string{"r0", "r1"}, "r0=0.70 r1=0.30"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := sharedView()
			if c.change != nil {
				c.change(v)
			}
			if got := weightsOf(v.Plan(planTarget, c.f, c.allowed, nil)); got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
		})
	}
}

func TestPlanSaysWhatWeightsComeFrom(t *testing.T) {
	v := sharedView()
	v.Overrides["r2"] = Override{Region: "r2", Kind: Freeze, By: "ann", Reason: "watching"}
	v.Overrides["r3"] = Override{Region: "r3", Kind: Evacuate, By: "bob", Reason: "power"}
	v.Regions["r4"].Ready["alarms"] = Load{Ready: 1, Demand: byClass(5)}
	v.Regions["r5"].Ready["alarms"] = Load{Ready: 1, Capacity: 400, Demand: byClass(380)}
	tr := &Trace{}
	v.Plan(planTarget, Failover{}, nil, tr)
	for region, want := range map[string]string{
		"r0": "share 50.0% (it spills); its own demand 1600/s is 160% of its capacity of 1000/s",
		"r1": "share 30.0%; its own demand 400/s is 40% of its capacity of 1000/s",
		"r2": "; freeze by ann: watching",
		"r3": "the region is to be left (evacuate by bob: power): only when no other can serve",
		"r4": "capacity not known, its own demand 5/s; nearer ones have room",
		"r5": "share 0.0%; its own demand 380/s is 95% of its capacity of 400/s; it has no room below 80% of its capacity",
	} {
		if !slices.ContainsFunc(tr.Steps, func(s Step) bool { return s.Subject == region && strings.Contains(s.Reason, want) }) {
			t.Errorf("%s: nothing says %q: %+v", region, want, tr.Steps)
		}
	}
}

func TestOrderDrawsTheFirstByWeightThenKeepsThePlans(t *testing.T) {
	p := sharedView().Plan(planTarget, Failover{}, nil, nil)
	rng, first := rand.New(rand.NewPCG(1, 1)), map[string]float64{}
	const draws = 20_000
	for range draws {
		o := p.Order(rng.Uint64())
		first[o.At(0).Region]++
		names := []string{}
		for n := 1; n < o.Len(); n++ {
			names = append(names, o.At(n).Region)
		}
		want := slices.DeleteFunc(legNames(p), func(name string) bool { return name == o.At(0).Region })
		if !slices.Equal(names, want) {
			t.Fatalf("after %s come %v", o.At(0).Region, names)
		}
	}
	for _, leg := range p.Legs {
		if off := math.Abs(first[leg.Region]/draws - leg.Weight); off > 0.015 || leg.Weight == 0 && off > 0 {
			t.Errorf("%s is first in %.3f of draws, weight %.3f", leg.Region, first[leg.Region]/draws, leg.Weight)
		}
	}
}

func TestOrderOfLastResortsIsThePlans(t *testing.T) {
	v := sharedView()
	v.Draining = true
	p := v.Plan(planTarget, Failover{Mode: FailoverNone}, nil, nil)
	if o := p.Order(1 << 63); o.Len() != 1 || o.At(0).Region != "r0" {
		t.Errorf("%+v", o)
	}
	if (Plan{}).Order(1).Len() != 0 {
		t.Error("an empty plan has an order")
	}
}

func TestOrderDoesNotAllocate(t *testing.T) {
	v, target, rng := sharedView(), planTarget, uint64(0)
	n := testing.AllocsPerRun(100, func() {
		rng++
		o := v.Plan(target, Failover{}, nil, nil).Order(rng)
		for n := range o.Len() {
			_ = o.At(n)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPlanOrder(b *testing.B) {
	v, rng := sharedView(), uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		rng++
		_ = v.Plan(planTarget, Failover{}, nil, nil).Order(rng).At(0)
	}
}
