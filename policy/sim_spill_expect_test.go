package policy

import (
	"testing"
	"time"
)

func TestSimSpillExpectsTheDemandOfTheDead(t *testing.T) {
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

func TestSimSpillExpectsNoMoreWhatHasCome(t *testing.T) {
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

func TestSimSpillOfACutOffRegionExpectsNothing(t *testing.T) {
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

func TestSimSpillExpectsTheDemandOfTheLastOneToDie(t *testing.T) {
	s := threeRegions(t)
	s.run(30 * time.Second)
	s.kill("b")
	s.run(time.Minute)
	s.kill("c")
	s.run(300 * time.Millisecond)
	near(t, "a is the only one left", expectedAt(s.region("a")), 750, 5)
}

// expectedAt is the spill that the first agent of a region expects.
func expectedAt(r *simRegion) float64 { return expectedFrom(r, "") }

func expectedFrom(r *simRegion, from string) (sum float64) {
	for _, in := range r.agents[0].view.Shares["svc"].Expected {
		for _, rate := range in.Rates {
			if from == "" || from == in.From {
				sum += rate
			}
		}
	}
	return sum
}

func TestSimSpillExpectsNothingOfARegionThatIsBack(t *testing.T) {
	s := threeRegions(t)
	s.region("a").demand, s.region("b").demand, s.region("c").demand = 300, 400, 300
	s.run(30 * time.Second)
	s.kill("b")
	s.run(20 * time.Second)
	s.revive("b")
	for range 40 {
		s.run(simTick)
		if got := expectedFrom(s.region("a"), "b"); got > 0 {
			t.Fatalf("%v after its return: expects %.1f/s of b, which serves itself", s.since(), got)
		}
	}
}

func TestSimSpillTakesASilenceForNoReturn(t *testing.T) {
	s := threeRegions(t)
	s.region("a").demand, s.region("b").demand, s.region("c").demand = 1000, 400, 300
	s.run(60 * time.Second)
	before := s.share("a", "b")
	s.region("b").cut = true // nobody hears its reports, yet it lives and serves
	s.run(20 * time.Second)
	s.region("b").cut = false
	for range 80 {
		s.run(simTick)
		near(t, "spill to b", s.share("a", "b"), before, 0.01)
		if got := expectedFrom(s.region("c"), "b"); got > 0 {
			t.Fatalf("%v: expects %.1f/s of b, which serves itself", s.since(), got)
		}
	}
}
