package policy

import (
	"math"
	"math/rand/v2"
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

func TestSimSpillLeavesADeadRegionAtOnce(t *testing.T) {
	s := threeRegions(t)
	s.region("a").demand, s.region("c").demand = 1000, 200
	s.region("b").demand = 500
	s.run(60 * time.Second)
	near(t, "a spills to the near b first", s.share("a", "b"), 0.2, 0.01)
	s.kill("b")
	s.run(300 * time.Millisecond) // every agent has built a view
	for _, a := range s.region("a").agents {
		near(t, "to the dead", a.view.Shares["svc"].Weight("b"), 0, 0)
	}
	near(t, "at home and to the one left", s.share("a", "a")+s.share("a", "c"), 1, 1e-9)
	if got := s.share("a", "c"); got < 0.1 || s.use("a") > 1 {
		t.Errorf("%.3f to the one left, where room is kept for the devices of the dead: %v", got, s)
	}
	s.run(15 * time.Second)
	near(t, "to the one left when they have not come", s.share("a", "c"), 0.2, 0.02)
}

func TestSimSpillKeepsItsWeightsWhenReportsExpire(t *testing.T) {
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

func TestSimSpillReturnsByTheRamp(t *testing.T) {
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

func TestSimSpillOfADeadRegionComesBackByTheRamp(t *testing.T) {
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

func TestSimSpillWithNoRoomBelowTargetFillsToTheWhole(t *testing.T) {
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

func TestSimSpillFollowsABrownOutSmoothly(t *testing.T) {
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

func TestSimSpillSharesHeadroomInProportion(t *testing.T) {
	s := newSimSpill(t, 5, simOne, 2, region("a", "g", 0, 1000, 1000), region("b", "g", 1, 1000, 1100), region("c", "g", 3, 1000, 560))
	s.run(120 * time.Second)
	near(t, "in proportion to what they want", s.spilled("a")*1000, 96, 3)
	near(t, "in proportion to what they want", s.spilled("b")*1100, 144, 3)
	near(t, "c is filled to the target", s.use("c"), 0.8, 0.005)
}

func TestSimSpillOfADeadHomeIsSpreadByCapacityBeyondTheWhole(t *testing.T) {
	s := newSimSpill(t, 6, simOne, 2, region("a", "g", 0, 1000, 1000), region("b", "g", 6, 500, 450), region("c", "g", 40, 1500, 1350))
	s.region("a").unready = true
	s.run(120 * time.Second)
	out := func(name string) float64 { return s.share("a", name) }
	near(t, "nothing at home", out("a"), 0, 0)
	near(t, "by capacity", out("c")/out("b"), 3, 0.4)
}

func TestSimSpillToUnknownCapacityGrowsByWhatItServes(t *testing.T) {
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

func TestSimSpillDoesNotSwingWhenTheShedComeAgain(t *testing.T) {
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

// While a region was evacuated its demand swung between the others, as the noise
// of arrivals has it. That is no reason to be slow when it is released.
func TestSimSpillReturnsByTheRampHoweverItSwungMeanwhile(t *testing.T) {
	s := newSimSpill(t, 17, simOne, 2, region("a", "g", 0, 200, 100), region("b", "g", 5, 200, 100), region("c", "g", 20, 200, 100))
	noise := rand.New(rand.NewPCG(17, 17))
	second := func() {
		for range 4 {
			for _, r := range s.regions {
				r.demand = 100 * (0.85 + 0.3*noise.Float64())
			}
			s.run(250 * time.Millisecond)
		}
	}
	for range 20 {
		second()
	}
	s.overrides = map[string]Override{"a": {Region: "a", Kind: Evacuate}}
	for range 15 {
		second()
	}
	near(t, "evacuated", s.share("a", "a"), 0, 0)
	s.overrides = nil
	for range 33 {
		second()
	}
	near(t, "released, after the ramp", s.share("a", "a"), 1, 0.05)
}
