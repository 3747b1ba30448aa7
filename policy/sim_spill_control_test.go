package policy

import (
	"fmt"
	"math"
	"testing"
	"time"
)

const simOne = `service "svc" {}`

// stepTo90 is the simulation of the control bounds: one of six regions goes from
// half its capacity to 90 %.
func stepTo90(t testing.TB, seed uint64) *simSpill {
	return newSimSpill(t, seed, simOne, 3,
		region("a", "g", 0, 1000, 500), region("b", "g", 12, 1000, 500), region("c", "g", 14, 800, 400),
		region("d", "g", 60, 1000, 500), region("e", "g", 70, 1200, 700), region("f", "g", 200, 1000, 300))
}

type stepResult struct{ overshoot, swing, reached float64 }

// measureStep lets a settle, steps it to 90 % and looks on. Overshoot is beyond
// the final share, relative to the demand's step; swing is the standard
// deviation of the use of home, in points, once it has settled.
func measureStep(s *simSpill, goal float64, settle, look time.Duration) stepResult {
	s.run(settle)
	s.region("a").demand = 900
	start := s.now
	res := stepResult{reached: math.Inf(1)}
	var n, sum, squares float64
	s.sample = func(s *simSpill) {
		out := s.spilled("a")
		res.overshoot = max(res.overshoot, out-goal)
		if out >= 0.8*goal && math.IsInf(res.reached, 1) {
			res.reached = s.now.Sub(start).Seconds()
		}
		if s.now.Sub(start) > look/2 {
			use := s.use("a")
			n, sum, squares = n+1, sum+use, squares+use*use
		}
	}
	s.run(look)
	s.sample = nil
	res.swing = 100 * math.Sqrt(max(0, squares/n-sum*sum/n/n))
	return res
}

func TestSimSpillStepTo90WithOldReports(t *testing.T) {
	for _, c := range []struct {
		age   time.Duration
		bound float64
	}{{time.Second, 5}, {3 * time.Second, 12}, {10 * time.Second, 60}} {
		for _, way := range []string{"late", "seldom"} {
			for _, plant := range []string{"steady", "noisy", "retrying", "biased"} {
				t.Run(fmt.Sprint(c.age, way, plant), func(t *testing.T) {
					s := stepTo90(t, 1)
					if way == "late" {
						s.delay = c.age
					} else {
						s.delay, s.interval = 100*time.Millisecond, c.age
					}
					goal := setPlant(s, plant)
					res := measureStep(s, goal, 60300*time.Millisecond, 3*time.Minute)
					t.Logf("overshoot %.2f %%, swing %.2f points, reached %.2f s", 100*res.overshoot, res.swing, res.reached)
					if res.overshoot > 0.05 || res.swing > 3 || res.reached > c.bound {
						t.Errorf("beyond 5 %%, 3 points, %v s", c.bound)
					}
				})
			}
		}
	}
}

// setPlant makes the world answer what spill does: measured demand is noisy,
// what is shed comes again, capacity looks smaller while there is less to do.
func setPlant(s *simSpill, plant string) (goal float64) {
	const poisson = 0.022 // of 1,000 req/s, averaged over a second
	switch plant {
	case "noisy":
		s.noise = poisson
	case "retrying":
		s.retries, s.noise = 0.9, poisson/2
	case "biased":
		s.loadBias, s.noise = 0.15, poisson/2
		return 1 - 0.68/0.792 // 0.9 x = 0.8 (1 - 0.15 (1 - 0.9 x))
	}
	return 1 - 0.8/0.9
}

func TestSimSpillDoesNotSwingThoughCapacityAnswersToIt(t *testing.T) {
	for _, age := range []time.Duration{time.Second, 3 * time.Second, 10 * time.Second} {
		got := thrashSwing(t, 0, age)
		t.Logf("reports %v old: %.2f points", age, got)
		if got > 1 {
			t.Errorf("reports %v old: use of the neighbour swings by %.2f points", age, got)
		}
	}
}

// thrashSwing is the standard deviation of the use of the one region that takes
// spill, whose capacity falls as it does: the more it gets, the less it seems to
// be able to take.
func thrashSwing(t testing.TB, delay, age time.Duration) float64 {
	s := newSimSpill(t, 4, simOne, 3, region("a", "g", 0, 1000, 1100), region("b", "g", 10, 1000, 400))
	s.configure(SpillConfig{Delay: delay})
	s.delay, s.thrash = age, 2
	s.run(2 * time.Minute)
	var n, sum, squares float64
	s.sample = func(s *simSpill) { n, sum, squares = n+1, sum+s.use("b"), squares+s.use("b")*s.use("b") }
	s.run(3 * time.Minute)
	return 100 * math.Sqrt(max(0, squares/n-sum*sum/n/n))
}
