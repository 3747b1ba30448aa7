package policy_test

import (
	"testing"
	"time"
)

// With more in flight than the service can answer before the deadline, no answer
// comes in time at all, and latency tells nothing. That must not last.
func TestSimNoAnswerInTimeDoesNotLast(t *testing.T) {
	for name, c := range map[string]struct {
		slots    int
		hold     time.Duration
		deadline time.Duration
		before   func(s *oneService)
		within   time.Duration
	}{
		"start, 2 slots":      {2, 100 * time.Millisecond, time.Second, func(s *oneService) { s.beginAt(64) }, 12 * time.Second},
		"start, 8 slots":      {8, 200 * time.Millisecond, time.Second, func(s *oneService) { s.beginAt(64) }, 10 * time.Second},
		"start, 1 slot, 5 s":  {1, 100 * time.Millisecond, 5 * time.Second, func(s *oneService) { s.beginAt(64) }, 40 * time.Second},
		"slots go, 64 of 68":  {4, 10 * time.Millisecond, 100 * time.Millisecond, healthy(64, 0), 5 * time.Second},
		"slower, 20 times":    {64, 200 * time.Millisecond, 500 * time.Millisecond, healthy(64, 0), 10 * time.Second},
		"slower, and varying": {64, 100 * time.Millisecond, 200 * time.Millisecond, healthy(64, 0.6), 25 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(10) {
				s := newOneService(seed, 1, c.slots, c.hold)
				s.deadline = c.deadline
				c.before(s)
				s.slots, s.hold = c.slots, c.hold
				from := s.now + c.within
				s.offer(3)
				s.run(c.within + 20*time.Second)
				capacity := float64(c.slots) / c.hold.Seconds()
				sum := s.over(from, s.now)
				goodput := float64(sum.allGood()) / (20 * capacity)
				t.Logf("goodput %.3f, critical %.4f, limit %d", goodput, sum.criticalSuccess(), s.seen[len(s.seen)-2].limit)
				if goodput < 0.5 {
					t.Errorf("seed %d: goodput %.3f", seed, goodput)
				}
			}
		})
	}
}

func healthy(slots int, sigma float64) func(*oneService) {
	return func(s *oneService) {
		s.slots, s.hold, s.sigma = slots, 10*time.Millisecond, sigma
		s.offer(0.7)
		s.run(5 * time.Second)
	}
}

// A service that answers nothing for a while, and then all as before, is used
// again as before.
func TestSimAfterAHangTheLimitComesBack(t *testing.T) {
	for seed := range uint64(10) {
		s := newOneService(seed, 1, 64, 10*time.Millisecond)
		s.deadline = time.Second
		healthy(64, 0)(s)
		s.pausedService = s.now + 6*time.Second
		s.run(6 * time.Second)
		s.run(5 * time.Second)
		sum := s.over(s.now-3*time.Second, s.now)
		least, _ := s.limits(5*time.Second, s.now)
		t.Logf("goodput from 2 s after %.3f of what was asked, limit %d, at least %d", float64(sum.allGood())/float64(sum.allArrived()), s.seen[len(s.seen)-2].limit, least)
		if sum.allGood()*100 < 99*sum.allArrived() {
			t.Errorf("seed %d: %d of %d", seed, sum.allGood(), sum.allArrived())
		}
	}
}
