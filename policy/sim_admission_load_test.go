package policy_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// offer sets the load to factor times what the service can take; a fifth is
// critical, as far as it could be served: 80 % of the capacity at most.
func (s *oneService) offer(factor float64) {
	capacity := float64(s.slots) / s.hold.Seconds()
	critical := min(0.2*factor, 0.8)
	rest := (factor - critical) * capacity
	s.load = [4]float64{0.5 * rest, 0.3 * rest, 0.2 * rest, critical * capacity}
}

// over sums up what was seen between two moments.
func (s *oneService) over(from, to time.Duration) (sum simSecond) {
	for _, w := range s.seen[from/simWindow : min(int(to/simWindow), len(s.seen))] {
		for c := range w.arrived {
			sum.arrived[c] += w.arrived[c]
			sum.admitted[c] += w.admitted[c]
			sum.shed[c] += w.shed[c]
			sum.good[c] += w.good[c]
			sum.latency[c] = append(sum.latency[c], w.latency[c]...)
		}
		for i := range w.byAgent {
			sum.byAgent[i] += w.byAgent[i]
		}
		for i := range w.byWho {
			sum.byWho[i] += w.byWho[i]
			sum.okWho[i] += w.okWho[i]
		}
		sum.work += w.work
		sum.expiredWork += w.expiredWork
	}
	return sum
}

func (w *simSecond) allGood() int { return w.good[0] + w.good[1] + w.good[2] + w.good[3] }

func (w *simSecond) allArrived() int {
	return w.arrived[0] + w.arrived[1] + w.arrived[2] + w.arrived[3]
}

func (w *simSecond) criticalSuccess() float64 {
	c := policy.Critical
	return 1 - float64(w.shed[c])/float64(max(1, w.arrived[c]))
}

func p99(latencies []time.Duration) time.Duration {
	if len(latencies) == 0 {
		return 0
	}
	slices.Sort(latencies)
	return latencies[len(latencies)*99/100]
}

type simCase struct {
	slots  int
	sigma  float64
	agents int
}

var simCases = []simCase{{8, 0, 1}, {8, 0.6, 1}, {64, 0, 1}, {64, 0.6, 1}, {8, 0, 3}, {64, 0.6, 4}, {4, 0, 1}}

func (c simCase) String() string {
	return fmt.Sprintf("slots=%d,sigma=%g,agents=%d", c.slots, c.sigma, c.agents)
}

func (c simCase) service(seed uint64) *oneService {
	s := newOneService(seed, c.agents, c.slots, 10*time.Millisecond)
	s.sigma = c.sigma
	return s
}

func TestSimOverload(t *testing.T) {
	for _, c := range simCases {
		for _, bar := range []struct{ factor, critical, goodput float64 }{{2, 0.999, 0.95}, {5, 0.999, 0.90}, {10, 0.995, 0.80}} {
			t.Run(fmt.Sprintf("%v/%gx", c, bar.factor), func(t *testing.T) {
				s := c.service(1)
				s.deadline = time.Second
				s.offer(0.7)
				s.run(3 * time.Second)
				s.offer(bar.factor)
				s.run(30 * time.Second)
				sum := s.over(4*time.Second, 33*time.Second)
				capacity := 29 * float64(c.slots) / 0.010
				goodput := float64(sum.allGood()) / capacity
				t.Logf("critical %.5f goodput %.3f expired work %d p99 %v limit %d cap %.0f rej %.3f thr %v wait %v", sum.criticalSuccess(), goodput, sum.expiredWork,
					p99(sum.latency[3]), s.seen[len(s.seen)-2].limit, s.agents[0].Stats().Capacity, s.agents[0].Stats().Rejecting, s.agents[0].Stats().Threshold, s.agents[0].Stats().QueueWait)
				if got := sum.criticalSuccess(); got < bar.critical {
					t.Errorf("critical success %.4f, want %.4f", got, bar.critical)
				}
				if goodput < bar.goodput {
					t.Errorf("goodput %.3f, want %.2f", goodput, bar.goodput)
				}
				if sum.expiredWork*100 > sum.work {
					t.Errorf("%d of %d on expired requests", sum.expiredWork, sum.work)
				}
			})
		}
	}
}

// within20 of the slots, rounded up as far as a slot: a limit is whole.
func within20(limit, slots int) bool {
	return float64(limit) >= 0.8*float64(slots) && float64(limit) <= math.Ceil(1.2*float64(slots))
}

// settled is the mean limit, over all agents, between two moments.
func (s *oneService) settled(from, to time.Duration) float64 {
	sum := 0
	windows := s.seen[from/simWindow : to/simWindow]
	for _, w := range windows {
		sum += w.limit
	}
	return float64(sum) / float64(len(windows))
}

// Fewer than 8 slots before are not held to a limit, nor are several agents.
func TestSimHalvedCapacity(t *testing.T) {
	for _, c := range simCases {
		t.Run(c.String(), func(t *testing.T) {
			s := c.service(2)
			s.offer(2)
			s.run(8 * time.Second)
			s.slots /= 2
			s.run(10 * time.Second)
			limit := int(math.Round(s.settled(10*time.Second, 18*time.Second)))
			sum := s.over(10*time.Second, 18*time.Second)
			goodput := float64(sum.allGood()) / (8 * float64(s.slots) / 0.010)
			t.Logf("limit %d; goodput %.3f, critical %.4f", limit, goodput, sum.criticalSuccess())
			if c.agents == 1 && c.slots >= 8 && !within20(limit, s.slots) {
				t.Errorf("limit %d from 2 s after, for %d slots", limit, s.slots)
			}
			if goodput < 0.95 {
				t.Errorf("goodput %.3f", goodput)
			}
		})
	}
}
