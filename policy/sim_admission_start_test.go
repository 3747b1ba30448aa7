package policy_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// The first requests to a service that just began take long: connections are
// made, code is cold. While they hold every slot others are refused; a threshold
// that outlasts them would refuse more beside free slots.
func TestSimSlowFirstRequestsAreNoCongestion(t *testing.T) {
	for _, c := range []struct {
		slow  float64
		first int
		share float64 // of the arrivals of ten seconds, refused with half of the slots free
	}{{5, 20, 0.018}, {10, 20, 0.025}, {5, 60, 0.022}, {10, 60, 0.04}} {
		t.Run(fmt.Sprintf("%gx,first=%d", c.slow, c.first), func(t *testing.T) {
			free, arrived := 0, 0
			for seed := range uint64(5) {
				s := newOneService(seed, 2, 8, 40*time.Millisecond)
				s.sigma = 0.2
				s.first, s.slow = c.first, c.slow
				for _, a := range s.agents {
					a.SetHard(4)
				}
				s.load = [4]float64{20, 30, 30, 20}
				s.decided = func(r *simRequest, v policy.Admit) {
					stats := s.agents[r.agent].Stats()
					if stats.Limit < 4 {
						t.Fatalf("seed %d, %v: limit %d", seed, s.now, stats.Limit)
					}
					arrived++
					if v.Verdict == policy.Shed && stats.InFlight <= stats.Limit/2 {
						free++
					}
				}
				s.run(10 * time.Second)
			}
			t.Logf("%d of %d refused beside free slots", free, arrived)
			if float64(free) > c.share*float64(arrived) {
				t.Errorf("%d of %d refused beside free slots, want %.1f %%", free, arrived, 100*c.share)
			}
		})
	}
}

// An agent that begins under overload, with a start limit far above what the
// service holds, meets a queue of its own making before it knows how long an
// answer takes without one. It has to find out all the same.
func TestSimAStartUnderOverloadFindsTheLimit(t *testing.T) {
	for _, slots := range []int{8, 16, 64} {
		for _, factor := range []float64{1.2, 2, 5} {
			t.Run(fmt.Sprintf("slots=%d,%gx", slots, factor), func(t *testing.T) {
				for seed := range uint64(10) {
					s := newOneService(seed, 1, slots, 10*time.Millisecond)
					s.beginAt(64)
					s.offer(factor)
					s.run(10 * time.Second)
					s.slots /= 2
					s.run(10 * time.Second)
					s.expectLimit(t, seed, 7*time.Second, 10*time.Second, slots)
					s.expectLimit(t, seed, 12*time.Second, 20*time.Second, slots/2)
				}
			})
		}
	}
}

// beginAt replaces the first agent by one that begins with another limit.
func (s *oneService) beginAt(limit int) {
	config := policy.DefaultAdmissionConfig()
	config.StartLimit = limit
	s.agents[0] = policy.NewAdmission(config, s.start)
}

func (s *oneService) expectLimit(t *testing.T, seed uint64, from, to time.Duration, slots int) {
	t.Helper()
	if limit := int(math.Round(s.settled(from, to))); !within20(limit, slots) {
		t.Errorf("seed %d: limit %d from %v to %v, for %d slots", seed, limit, from, to, slots)
	}
}

// Slots that go away at any moment, also while the baseline is questioned, are
// not taken for a service that became slower.
func TestSimALossOfCapacityIsNotASlowerService(t *testing.T) {
	for at := time.Second; at < 5*time.Second; at += 100 * time.Millisecond {
		s := newOneService(3, 1, 16, 10*time.Millisecond)
		s.beginAt(64)
		s.offer(1.2)
		s.run(at)
		s.slots /= 2
		s.run(10 * time.Second)
		s.expectLimit(t, 3, at+7*time.Second, at+10*time.Second, s.slots)
	}
}
