package policy_test

import (
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// busy is a service of 64 slots at 70 % of its capacity, known by an overload
// before.
func busy() *oneService {
	s := newOneService(5, 1, 64, 10*time.Millisecond)
	s.offer(2)
	s.run(3 * time.Second)
	s.offer(0.7)
	s.run(3 * time.Second)
	return s
}

func TestSimMovingDevicesRaiseTheThresholdIntoLocalRanksBeforeTheyCome(t *testing.T) {
	expectLocal := policy.RankOf(policy.Bulk, 0, false, false)
	for _, c := range []struct {
		name   string
		expect policy.Expectation
		local  bool
	}{
		{"moving", policy.Expectation{Moving: [4]float64{1500, 900, 600, 1300}, Cause: "b"}, true},
		{"spilled", policy.Expectation{Rates: [4]float64{4000, 900, 600, 0}, Cause: "b"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := busy()
			if was := s.agents[0].Stats().Threshold; was > 0 {
				t.Fatalf("before: θ %v", was)
			}
			s.agents[0].Expect(c.expect)
			s.run(2 * simWindow)
			stats := s.agents[0].Stats()
			if got := stats.Threshold > expectLocal; got != c.local || stats.Threshold == 0 || stats.Cause != "b" {
				t.Errorf("θ %v for %q", stats.Threshold, stats.Cause)
			}
		})
	}
}

func TestSimMovingDevicesAreExpectedUntilTheyCome(t *testing.T) {
	moving := policy.Expectation{Moving: [4]float64{1500, 900, 600, 1300}, Cause: "b"}
	t.Run("they come", func(t *testing.T) {
		s := busy()
		s.agents[0].Expect(moving)
		s.run(simWindow)
		for c := range s.load {
			s.load[c] += moving.Moving[c]
		}
		s.run(5 * time.Second)
		stats := s.agents[0].Stats()
		for c, left := range stats.Moving {
			if left > moving.Moving[c]/5 {
				t.Errorf("class %d: %.0f still expected", c, left)
			}
		}
		if stats.Threshold < policy.RankOf(policy.Bulk, 0, false, false) || stats.Cause != "b" {
			t.Errorf("they are here: θ %v for %q", stats.Threshold, stats.Cause)
		}
	})
	t.Run("they do not", func(t *testing.T) {
		s := busy()
		s.agents[0].Expect(moving)
		s.run(12 * time.Second)
		if stats := s.agents[0].Stats(); stats.Threshold > 0 || stats.Moving[0] > 50 {
			t.Errorf("θ %v, %.0f expected", stats.Threshold, stats.Moving)
		}
	})
}
