package policy

import (
	"math"
	"os"
	"testing"
	"time"
)

// TestSimSpillAlternatives prints what docs/decisions/spill-damping.md compares.
// Only with TIDEGATE_PLOTS: it judges nothing.
func TestSimSpillAlternatives(t *testing.T) {
	if os.Getenv(plotsVariable) == "" {
		t.Skip("a comparison for people: set " + plotsVariable + "=1")
	}
	none := time.Nanosecond
	for _, c := range []struct {
		name string
		cfg  SpillConfig
	}{
		{"as it is", SpillConfig{}},
		{"no damping of weights", SpillConfig{Delay: none}},
		{"four times the damping", SpillConfig{Delay: 2 * time.Second}},
		{"no smoothing of what is kept", SpillConfig{Memory: none}},
		{"no trim: follows 0.80 down", SpillConfig{Trim: 0.8}},
		{"no hysteresis at all", SpillConfig{Trim: 0.8, Start: 0.8, Return: 0.7999, Memory: none, Ramp: none}},
	} {
		for _, age := range []time.Duration{time.Second, 3 * time.Second, 10 * time.Second} {
			s := stepTo90(t, 1)
			s.configure(c.cfg)
			s.delay = age
			s.noise = 0.022
			res := measureStep(s, 1-0.8/0.9, 60300*time.Millisecond, 5*time.Minute)
			t.Logf("%-30s reports %3v old: reached %5.2f s, overshoot %5.2f points, swing of home %.2f points, moved %.3f a minute",
				c.name, age, res.reached, 100*res.overshoot, res.swing, movement(s))
		}
	}
	for _, delay := range []time.Duration{none, 500 * time.Millisecond, 2 * time.Second} {
		for _, age := range []time.Duration{time.Second, 3 * time.Second, 10 * time.Second} {
			t.Logf("capacity falls under load, assumed delay %v, reports %v old: use of the neighbour swings by %.2f points",
				delay, age, thrashSwing(t, delay, age))
		}
	}
	for _, naive := range []bool{false, true} {
		s := stepTo90(t, 1)
		s.naive = naive
		s.run(60 * time.Second)
		s.region("a").unready = true
		top := map[string]float64{}
		for range 40 {
			s.run(simTick)
			for _, r := range s.regions {
				top[r.name] = math.Max(top[r.name], r.load/r.capacity)
			}
		}
		t.Logf("home lost, nearest takes all %v: highest use %.2f of b (12 ms), %.2f of c (14 ms), %.2f of d (60 ms)", naive, top["b"], top["c"], top["d"])
	}
}

// movement is how much of a's share moves in a minute.
func movement(s *simSpill) float64 {
	last, sum := s.spilled("a"), 0.0
	s.sample = func(s *simSpill) {
		now := s.spilled("a")
		sum, last = sum+math.Abs(now-last), now
	}
	s.run(time.Minute)
	s.sample = nil
	return sum
}
