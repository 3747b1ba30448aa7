package policy

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var planTarget = Target{Service: "alarms"}

func drawView(t *rapid.T) *View {
	v := &View{
		Region: "r0", Group: "g0", Built: planTime, Draining: rapid.Bool().Draw(t, "draining"),
		Local: map[string]*Pool{}, Regions: map[string]*Region{},
	}
	if n := rapid.IntRange(0, 3).Draw(t, "local instances"); n > 0 {
		var specs []InstanceSpec
		for i := range n {
			status := InstanceStatus(rapid.IntRange(0, 2).Draw(t, "status"))
			specs = append(specs, InstanceSpec{ID: fmt.Sprint(i), Status: status})
		}
		v.Local["alarms"] = NewPool(planTarget, NewInstanceTable().Resolve("alarms", specs, planTime))
	}
	for i := range rapid.IntRange(0, 8).Draw(t, "regions") {
		r := drawRegion(t, fmt.Sprint("r", i+1))
		v.Regions[r.Name] = r
	}
	return v
}

func drawRegion(t *rapid.T, name string) *Region {
	r := &Region{
		Name:     name,
		Group:    rapid.SampledFrom([]string{"g0", "g1"}).Draw(t, "group"),
		State:    RegionState(rapid.IntRange(0, 3).Draw(t, "state")),
		RTT:      time.Duration(rapid.IntRange(0, 50).Draw(t, "rtt")) * time.Millisecond,
		Reported: planTime.Add(-time.Duration(rapid.IntRange(0, 20).Draw(t, "age")) * time.Second),
		Ready:    map[string]Load{"alarms": {Ready: rapid.IntRange(0, 2).Draw(t, "ready")}},
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "agents") {
		r.Agents = append(r.Agents, Agent{Name: fmt.Sprint(i), Draining: rapid.Bool().Draw(t, "agent drains")})
	}
	return r
}

func drawFailover(t *rapid.T) Failover {
	f := Failover{
		Mode:        FailoverMode(rapid.IntRange(0, 2).Draw(t, "mode")),
		BeyondGroup: rapid.Bool().Draw(t, "beyond"),
	}
	if f.Mode == FailoverList {
		f.Regions = drawRegionNames(t, "list")
	}
	return f
}

func drawRegionNames(t *rapid.T, label string) []string {
	name := rapid.Map(rapid.IntRange(0, 9), func(i int) string { return fmt.Sprint("r", i) })
	return rapid.SliceOfN(name, 0, 5).Draw(t, label)
}

func TestPlanKeepsItsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, f, allowed := drawView(t), drawFailover(t), drawRegionNames(t, "allowed")
		plan := v.Plan(planTarget, f, allowed, nil)
		names := legNames(plan)
		if sorted := slices.Sorted(slices.Values(names)); len(slices.Compact(sorted)) != len(names) {
			t.Fatalf("a region twice: %v", names)
		}
		for _, leg := range plan.Legs {
			checkLeg(t, v, f, allowed, leg)
		}
		checkGoodBeforeLastResort(t, v, plan)
		checkDoubtfulOnlyAlone(t, v, plan)
		checkLocalIsNeverLost(t, v, allowed, names)
	})
}

func checkLeg(t *rapid.T, v *View, f Failover, allowed []string, leg Leg) {
	if len(allowed) > 0 && !slices.Contains(allowed, leg.Region) {
		t.Fatalf("%s is not allowed", leg.Region)
	}
	if leg.Local != (leg.Region == v.Region) {
		t.Fatalf("leg %+v mistakes what is local", leg)
	}
	if leg.Local {
		return
	}
	r := v.Regions[leg.Region]
	if r.State == RegionUnknown || r.Ready["alarms"].Ready == 0 || len(r.Agents) == 0 {
		t.Fatalf("%s cannot serve: %+v", leg.Region, r)
	}
	if f.Mode == FailoverNone || f.Mode == FailoverList && !slices.Contains(f.Regions, leg.Region) {
		t.Fatalf("%s is not where the service fails over to", leg.Region)
	}
	if f.Mode == FailoverNearest && !f.BeyondGroup && r.Group != v.Group {
		t.Fatalf("%s is beyond the group", leg.Region)
	}
}

// A region that is down, or whose report is old, is tried when nothing else is
// left and never beside anything else.
func checkDoubtfulOnlyAlone(t *rapid.T, v *View, p Plan) {
	doubtful := 0
	for _, leg := range p.Legs {
		r := v.Regions[leg.Region]
		if !leg.Local && (r.State == RegionDown || v.Built.Sub(r.Reported) > ReportExpiry) {
			doubtful++
		}
	}
	if doubtful > 0 && doubtful < len(p.Legs) {
		t.Fatalf("doubtful regions beside better ones: %+v", p.Legs)
	}
}

func isLastResort(v *View, leg Leg) bool {
	if leg.Local {
		return v.Draining || len(v.Local["alarms"].ready) == 0
	}
	r := v.Regions[leg.Region]
	staying := slices.ContainsFunc(r.Agents, func(a Agent) bool { return !a.Draining })
	return r.State == RegionDraining || !staying
}

func checkGoodBeforeLastResort(t *rapid.T, v *View, p Plan) {
	last := false
	for n, leg := range p.Legs {
		now := isLastResort(v, leg)
		if last && !now {
			t.Fatalf("%s comes after a last resort: %+v", leg.Region, p.Legs)
		}
		if leg.Local && !now && n > 0 {
			t.Fatalf("a good local region is not first: %+v", p.Legs)
		}
		last = now
	}
}

func checkLocalIsNeverLost(t *rapid.T, v *View, allowed, legs []string) {
	pool := v.Local["alarms"]
	canServe := pool != nil && len(pool.ready)+len(pool.distrusted) > 0
	permitted := len(allowed) == 0 || slices.Contains(allowed, v.Region)
	if slices.Contains(legs, v.Region) != (canServe && permitted) {
		t.Fatalf("local region can serve %v, permitted %v, legs %v", canServe, permitted, legs)
	}
}

func TestExplainedPlanIsThePlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, f, allowed := drawView(t), drawFailover(t), drawRegionNames(t, "allowed")
		tr := &Trace{}
		explained := v.Plan(planTarget, f, allowed, tr)
		for range 2 { // computed, then kept
			if silent := v.Plan(planTarget, f, allowed, nil); !reflect.DeepEqual(silent, explained) {
				t.Fatalf("%+v explained as %+v", silent, explained)
			}
		}
		for name := range v.Regions {
			if !slices.ContainsFunc(tr.Steps, func(s Step) bool { return s.Subject == name && s.Reason != "" }) {
				t.Fatalf("nothing is said of %s: %+v", name, tr.Steps)
			}
		}
	})
}

func TestPlansOfOneViewAreKeptApart(t *testing.T) {
	v := benchmarkView()
	listed := Failover{Mode: FailoverList, Regions: []string{"r2"}}
	allowed := []string{"r3"}
	for range 2 {
		for want, got := range map[string]Plan{
			"[r0 r1 r2 r3 r4 r5]": v.Plan(planTarget, Failover{}, nil, nil),
			"[r0]":                v.Plan(planTarget, Failover{Mode: FailoverNone}, nil, nil),
			"[r0 r2]":             v.Plan(planTarget, listed, nil, nil),
			"[r3]":                v.Plan(planTarget, Failover{}, allowed, nil),
			"[]":                  v.Plan(Target{Service: "alarms", Subset: "x"}, Failover{}, nil, nil),
		} {
			if fmt.Sprint(legNames(got)) != want {
				t.Errorf("got %v, want %v", legNames(got), want)
			}
		}
	}
}

func TestOneViewServesManyAtOnce(t *testing.T) {
	v := benchmarkView()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 200 {
				target := Target{Service: "alarms", Subset: fmt.Sprint(i % 50)}
				if got := v.Plan(target, Failover{}, nil, nil); got.Target != target {
					t.Errorf("plan of %v for %v", got.Target, target)
				}
			}
		})
	}
	all.Wait()
}

func TestPlansKeptInAViewAreBounded(t *testing.T) {
	v := benchmarkView()
	for range maxPlanKept + 100 {
		allowed := []string{"r0"} // another identity each time, as a careless caller would
		if got := legNames(v.Plan(planTarget, Failover{}, allowed, nil)); !slices.Equal(got, allowed) {
			t.Fatal(got)
		}
	}
	if kept := v.plans.count.Load(); kept != maxPlanKept {
		t.Errorf("%d plans kept, want %d", kept, maxPlanKept)
	}
}

func benchmarkView() *View {
	v := &View{Region: "r0", Group: "g", Built: planTime, Local: map[string]*Pool{}, Regions: map[string]*Region{}}
	instances := NewInstanceTable().Resolve("alarms", []InstanceSpec{{ID: "a"}, {ID: "b"}}, planTime)
	v.Local["alarms"] = NewPool(planTarget, instances)
	for i := 1; i <= 5; i++ {
		name := fmt.Sprint("r", i)
		v.Regions[name] = &Region{
			Name: name, Group: "g", State: RegionAlive, RTT: time.Duration(i) * 10 * time.Millisecond, Reported: planTime,
			Ready: map[string]Load{"alarms": {Ready: 2}}, Agents: []Agent{{Name: "x"}},
		}
	}
	return v
}

func TestPlanDoesNotAllocate(t *testing.T) {
	v, target := benchmarkView(), Target{Service: "alarms"}
	if n := testing.AllocsPerRun(100, func() { v.Plan(target, Failover{}, nil, nil) }); n != 0 {
		t.Errorf("%v allocations a plan", n)
	}
}

func BenchmarkPlan(b *testing.B) {
	v, allowed := benchmarkView(), []string{"r0", "r1"}
	b.ReportAllocs()
	for b.Loop() {
		v.Plan(planTarget, Failover{}, allowed, nil)
	}
}

func BenchmarkPlanComputed(b *testing.B) {
	v := benchmarkView()
	b.ReportAllocs()
	for b.Loop() {
		v.waterfall(planTarget, Failover{}, nil, nil)
	}
}
