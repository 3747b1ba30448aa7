package policy

import (
	"math"
	"testing"
	"time"
)

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > within {
		t.Errorf("%s: %.4f, want %.4f ± %.4f", what, got, want, within)
	}
}

// three regions at three quarters of what they can serve, which together have
// not enough room for a third's demand below their whole capacity.
func threeRegions(t testing.TB) *simSpill {
	return newSimSpill(t, 3, simOne, 3,
		region("a", "g", 0, 1000, 750), region("b", "g", 10, 1000, 750), region("c", "g", 80, 1000, 750))
}

func TestSpillLeavesADeadRegionAtOnce(t *testing.T) {
	s := threeRegions(t)
	s.region("a").demand, s.region("c").demand = 1000, 200
	s.region("b").demand = 500
	s.run(60 * time.Second)
	near(t, "a spills to the near b first", s.share("a", "b"), 0.2, 0.01)
	s.kill("b")
	s.run(300 * time.Millisecond) // every agent has built a view
	near(t, "to the dead", s.share("a", "b"), 0, 0)
	near(t, "at home and to the one left", s.share("a", "a")+s.share("a", "c"), 1, 1e-9)
	if got := s.share("a", "c"); got < 0.1 || s.use("a") > 1 {
		t.Errorf("%.3f to the one left, where room is kept for the devices of the dead: %v", got, s)
	}
	s.run(15 * time.Second)
	near(t, "to the one left when they have not come", s.share("a", "c"), 0.2, 0.02)
}

func TestSpillExpectsTheDemandOfTheDead(t *testing.T) {
	s := threeRegions(t)
	s.run(30 * time.Second)
	s.kill("c")
	s.run(300 * time.Millisecond)
	for _, a := range s.region("b").agents {
		total := 0.0
		for _, in := range a.view.Shares["svc"].Expected {
			if in.From != "c" {
				t.Errorf("spill expected from %s", in.From)
			}
			for c, rate := range in.Rates {
				near(t, "class mix", rate, byClass(375)[c], 40)
				total += rate
			}
		}
		near(t, "half of what the dead one had", total, 375, 40)
	}
	s.run(10 * time.Second)
	for _, a := range s.region("b").agents {
		if got := a.view.Shares["svc"].Expected; len(got) != 0 {
			t.Errorf("still expected when nothing came: %+v", got)
		}
	}
}

func TestSpillExpectsNoMoreWhatHasCome(t *testing.T) {
	s := threeRegions(t)
	s.run(30 * time.Second)
	s.kill("c")
	s.region("a").demand, s.region("b").demand = 1125, 1125
	s.run(2 * time.Second)
	for _, a := range s.region("b").agents {
		for _, in := range a.view.Shares["svc"].Expected {
			if in.From == "c" && in.Rates[0] > 10 {
				t.Errorf("counted twice: %+v", in)
			}
		}
	}
}

func TestSpillOfACutOffRegionExpectsNothing(t *testing.T) {
	s := threeRegions(t)
	s.run(30 * time.Second)
	s.region("a").cut = true
	for _, a := range s.region("a").agents {
		a.down["b"], a.down["c"] = true, true
	}
	for _, name := range []string{"b", "c"} {
		for _, a := range s.region(name).agents {
			a.down["a"] = true
		}
	}
	for range 80 {
		s.run(simTick)
		for _, a := range s.region("a").agents {
			if got := a.view.Shares["svc"].Expected; len(got) > 0 {
				t.Fatalf("at %v: expects %+v", s.since(), got)
			}
		}
	}
	near(t, "home", s.share("a", "a"), 1, 0)
}

func TestSpillExpectsTheDemandOfTheLastOneToDie(t *testing.T) {
	s := threeRegions(t)
	s.run(30 * time.Second)
	s.kill("b")
	s.run(time.Minute)
	s.kill("c")
	s.run(300 * time.Millisecond)
	near(t, "a is the only one left", expectedAt(s.region("a")), 750, 5)
}

func TestSpillKeepsItsWeightsWhenReportsExpire(t *testing.T) {
	s := threeRegions(t)
	s.region("a").demand, s.region("b").demand = 1000, 500
	s.run(60 * time.Second)
	before := s.share("a", "b")
	for _, a := range s.region("a").agents {
		a.heard["b"] = simReport{from: "b", load: a.heard["b"].load, rtts: a.heard["b"].rtts, arrives: a.heard["b"].arrives}
	}
	s.region("b").cut = true // its reports reach nobody, yet it lives
	s.run(60 * time.Second)
	near(t, "spill to the silent", s.share("a", "b"), before, 0.01)
	s.region("a").demand = 1200
	s.run(60 * time.Second)
	if got := s.share("a", "b"); got > before+0.01 {
		t.Errorf("the share of a region not heard grew from %.3f to %.3f", before, got)
	}
	near(t, "home is used up to what it can", s.use("a"), 0.96, 0.06)
}

func TestSpillReturnsByTheRamp(t *testing.T) {
	s := threeRegions(t)
	s.region("a").demand, s.region("b").demand, s.region("c").demand = 600, 300, 300
	s.run(20 * time.Second)
	s.region("a").unready = true
	s.run(2 * time.Second)
	near(t, "home without instances", s.share("a", "a"), 0, 0)
	s.region("a").unready = false
	last := 0.0
	for sec := 1; sec <= 40; sec++ {
		s.run(time.Second)
		got := s.share("a", "a")
		if got-last > 0.06 {
			t.Errorf("second %d: from %.3f to %.3f at once", sec, last, got)
		}
		last = got
		if sec == 15 {
			near(t, "half way", got, 0.5, 0.12)
		}
	}
	near(t, "after the ramp", last, 1, 0.01)
}

func TestSpillOfADeadRegionComesBackByTheRamp(t *testing.T) {
	s := threeRegions(t)
	s.region("a").demand, s.region("b").demand, s.region("c").demand = 1000, 100, 100
	s.run(60 * time.Second)
	s.kill("b")
	s.run(20 * time.Second)
	near(t, "all spill goes to c", s.share("a", "c"), 0.2, 0.02)
	s.revive("b")
	s.run(2 * time.Second)
	if got := s.share("a", "b"); got > 0.08 {
		t.Errorf("%.3f to b two seconds after its return", got)
	}
	s.run(60 * time.Second)
	near(t, "nearest again", s.share("a", "b"), 0.2, 0.02)
}

func TestSpillWithNoRoomBelowTargetFillsToTheWhole(t *testing.T) {
	s := threeRegions(t)
	s.region("a").demand, s.region("b").demand, s.region("c").demand = 1100, 780, 780
	s.run(120 * time.Second)
	near(t, "home", s.use("a"), 1, 0.02)
	for _, name := range []string{"b", "c"} {
		if s.use(name) > 1.001 {
			t.Errorf("%s is filled beyond its capacity: %v", name, s)
		}
	}
	s.region("a").demand, s.region("b").demand, s.region("c").demand = 1500, 1500, 1500
	s.run(120 * time.Second)
	for _, name := range []string{"a", "b", "c"} {
		near(t, "overload everywhere stays at home", s.share(name, name), 1, 0.001)
	}
}

func TestSpillFollowsABrownOutSmoothly(t *testing.T) {
	s := threeRegions(t)
	s.region("a").demand, s.region("b").demand, s.region("c").demand = 600, 400, 400
	s.run(30 * time.Second)
	a, last := s.region("a"), 1.0
	for range 60 { // 5 % of what it had, each second, down to a quarter
		for range 4 {
			a.capacity = max(250, a.capacity-12.5)
			s.run(simTick)
			got := s.share("a", "a")
			if math.Abs(got-last) > 0.05 {
				t.Fatalf("share went from %.3f to %.3f in a quarter of a second: %v", last, got, s)
			}
			last = got
		}
		if s.use("a") > 1.3 {
			t.Fatalf("share does not follow: %v", s)
		}
	}
	near(t, "home at the end", s.use("a"), 0.8, 0.03)
	near(t, "everything is served", s.use("b")*1000+s.use("c")*1000, 1400-200, 40)
}

func TestSpillSharesHeadroomInProportion(t *testing.T) {
	s := newSimSpill(t, 5, simOne, 2, region("a", "g", 0, 1000, 1000), region("b", "g", 1, 1000, 1100), region("c", "g", 3, 1000, 560))
	s.run(120 * time.Second)
	near(t, "in proportion to what they want", s.spilled("a")*1000, 96, 3)
	near(t, "in proportion to what they want", s.spilled("b")*1100, 144, 3)
	near(t, "c is filled to the target", s.use("c"), 0.8, 0.005)
}

func TestSpillOfADeadHomeIsSpreadByCapacityBeyondTheWhole(t *testing.T) {
	s := newSimSpill(t, 6, simOne, 2, region("a", "g", 0, 1000, 1000), region("b", "g", 6, 500, 450), region("c", "g", 40, 1500, 1350))
	s.region("a").unready = true
	s.run(120 * time.Second)
	out := func(name string) float64 { return s.share("a", name) }
	near(t, "nothing at home", out("a"), 0, 0)
	near(t, "by capacity", out("c")/out("b"), 3, 0.4)
}

func TestSpillStaysInItsGroup(t *testing.T) {
	for _, c := range []struct {
		policy string
		beyond float64
	}{{simOne, 0}, {"service \"svc\" {\n  beyond_group = true\n}", 0.2}} {
		s := newSimSpill(t, 8, c.policy, 2, region("a", "eu", 0, 1000, 1500), region("b", "eu", 10, 1000, 500), region("x", "us", 5, 4000, 100))
		s.run(120 * time.Second)
		near(t, "to the near one of another group", s.share("a", "x"), c.beyond*(1.5-0.8-0.3)/1.5/0.2, 0.01)
		if c.beyond == 0 {
			near(t, "the rest is shed at home", s.use("a"), 1, 0.01)
		}
	}
}

func TestSpillGoesOnlyWhereTheServiceSays(t *testing.T) {
	s := newSimSpill(t, 9, "service \"svc\" {\n  failover = [\"c\", \"b\"]\n}", 2,
		region("a", "g", 0, 1000, 1100), region("b", "h", 5, 1000, 100), region("c", "i", 90, 1000, 700), region("d", "g", 1, 1000, 1))
	s.run(120 * time.Second)
	near(t, "the first listed, as far as it has room", s.share("a", "c"), 100.0/1100, 0.01)
	near(t, "the second", s.share("a", "b"), 200.0/1100, 0.01)
	near(t, "not listed", s.share("a", "d"), 0, 0)
	s = newSimSpill(t, 9, "service \"svc\" {\n  failover = \"none\"\n}", 2, region("a", "g", 0, 1000, 1500), region("b", "g", 5, 1000, 1))
	s.run(60 * time.Second)
	near(t, "no failover", s.share("a", "a"), 1, 0)
}

func TestSpillObeysOperators(t *testing.T) {
	s := threeRegions(t)
	s.region("a").demand, s.region("b").demand, s.region("c").demand = 900, 300, 300
	s.run(60 * time.Second)
	frozen := s.share("a", "b")
	s.overrides = map[string]Override{"a": {Region: "a", Kind: Freeze}}
	s.region("a").demand = 600
	s.run(60 * time.Second)
	near(t, "frozen", s.share("a", "b"), frozen, 0.001)
	s.kill("b")
	s.run(300 * time.Millisecond)
	near(t, "frozen, but dead", s.share("a", "b"), 0, 0)

	s.overrides = map[string]Override{"a": {Region: "a", Kind: Pin}}
	s.region("a").demand = 1500
	s.run(60 * time.Second)
	near(t, "pinned", s.share("a", "a"), 1, 0)

	s.overrides = map[string]Override{"a": {Region: "a", Kind: Evacuate, Reason: "works"}}
	s.run(300 * time.Millisecond)
	near(t, "evacuated, its own demand", s.share("a", "a"), 0, 0)
	near(t, "evacuated, to the one left", s.share("a", "c"), 1, 0)
	if got := s.region("c").agents[0].view.Shares["svc"].Expected; len(got) != 1 || got[0].From != "a" {
		t.Errorf("c expects %+v", got)
	}
}

func TestSpillGivesNothingToThePinnedAndTheEvacuated(t *testing.T) {
	s := newSimSpill(t, 11, simOne, 2, region("a", "g", 0, 1000, 1000), region("b", "g", 1, 1000, 100), region("c", "g", 2, 1000, 100), region("d", "g", 90, 1000, 100))
	s.overrides = map[string]Override{"b": {Region: "b", Kind: Pin}, "c": {Region: "c", Kind: Evacuate}}
	s.run(60 * time.Second)
	near(t, "to the pinned", s.share("a", "b"), 0, 0)
	near(t, "to the evacuated", s.share("a", "c"), 0, 0)
	near(t, "to the other", s.share("a", "d"), 0.2, 0.01)
	s.region("a").unready = true
	s.run(30 * time.Second)
	if s.share("a", "b") == 0 {
		t.Error("a pinned region does not help one that cannot serve at all")
	}
}

func TestSpillToUnknownCapacityGrowsByWhatItServes(t *testing.T) {
	s := newSimSpill(t, 12, simOne, 2, region("a", "g", 0, 1000, 1000), region("b", "g", 10, 100000, 50))
	s.learn = true
	s.region("a").seen = true
	s.run(2 * time.Second)
	was := s.share("a", "b")
	for range 40 {
		s.run(s.interval)
		got := s.share("a", "b")
		if limit := max(2*was+0.06, was+0.06); got > limit {
			t.Fatalf("from %.3f to %.3f within an interval", was, got)
		}
		was = got
	}
	near(t, "in the end", was, 0.2, 0.02)
	near(t, "a region of unknown capacity keeps its demand", s.share("b", "b"), 1, 0)
}

func TestSpillDrains(t *testing.T) {
	s := threeRegions(t)
	s.region("a").demand, s.region("b").demand, s.region("c").demand = 400, 300, 300
	s.run(30 * time.Second)
	s.region("a").draining = true
	s.run(2 * time.Second)
	near(t, "its own demand", s.share("a", "a"), 0, 0)
	near(t, "to the near one", s.share("a", "b"), 1, 0.001)
	if got := s.region("b").agents[0].view.Shares["svc"].Expected; len(got) != 1 || got[0].From != "a" {
		t.Errorf("b expects %+v", got)
	}
}

func TestSpillDoesNotSwingWhenTheShedComeAgain(t *testing.T) {
	s := stepTo90(t, 2)
	s.retries, s.noise, s.loadBias, s.delay = 0.9, 0.022, 0.1, 3*time.Second
	s.region("a").demand = 2600 // more than all of the near ones have left
	s.run(3 * time.Minute)
	var n, sum, squares float64
	s.sample = func(s *simSpill) {
		out := s.spilled("a")
		n, sum, squares = n+1, sum+out, squares+out*out
	}
	s.run(5 * time.Minute)
	if swing := 100 * math.Sqrt(squares/n-sum*sum/n/n); swing > 3 {
		t.Errorf("the share swings by %.2f points", swing)
	}
}
