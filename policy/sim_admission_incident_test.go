package policy_test

import (
	"math"
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
)

func (s *oneService) limits(from, to time.Duration) (least, most int) {
	least = math.MaxInt
	for _, w := range s.seen[from/simWindow : to/simWindow] {
		if w.limit > 0 { // 0: no tick fell into it
			least, most = min(least, w.limit), max(most, w.limit)
		}
	}
	return least, most
}

// A step to 1.4 times the capacity, many times: critical requests of the windows
// after the first half second are as fast as twice those of before.
func TestSimStepTo140(t *testing.T) {
	var before, after []time.Duration
	for seed := range uint64(30) {
		s := newOneService(seed, 1, 8, 10*time.Millisecond)
		s.offer(0.7)
		s.run(4 * time.Second)
		s.offer(1.4)
		s.run(2 * time.Second)
		base, step := s.over(2*time.Second, 4*time.Second), s.over(4500*time.Millisecond, 6*time.Second)
		before, after = append(before, base.latency[3]...), append(after, step.latency[3]...)
	}
	t.Logf("p99 %v, then %v", p99(before), p99(after))
	if p99(after) > 2*p99(before) {
		t.Errorf("p99 %v after the step, %v before", p99(after), p99(before))
	}
}

func TestSimSteadyOverloadDoesNotSwing(t *testing.T) {
	for _, c := range simCases[:4] {
		t.Run(c.String(), func(t *testing.T) {
			s := c.service(3)
			s.offer(2)
			s.run(65 * time.Second)
			var sum, squares, noise, n float64
			for at := 5 * time.Second; at < 64*time.Second; at += time.Second {
				w := s.over(at, at+time.Second)
				arrived := float64(w.arrived[0] + w.arrived[1] + w.arrived[2] + w.arrived[3])
				share := float64(w.shed[0]+w.shed[1]+w.shed[2]+w.shed[3]) / arrived
				sum, squares, noise, n = sum+share, squares+share*share, noise+share*(1-share)/arrived, n+1
			}
			swing := math.Sqrt(max(0, squares/n-sum*sum/n/n-noise/n))
			t.Logf("mean %.3f, swing %.4f", sum/n, swing)
			if swing > 0.03 {
				t.Errorf("the rejected share swings by %.4f, want 0.03", swing)
			}
		})
	}
}

func TestSimCriticalIsNeverRefusedWhereALowerClassGetsIn(t *testing.T) {
	for _, factor := range []float64{2, 5, 10} {
		s := newOneService(4, 2, 8, 10*time.Millisecond)
		refused := 0
		s.decided = func(r *simRequest, v policy.Admit) {
			if r.class == policy.Critical && v.Verdict == policy.Shed {
				refused++
				if v.Threshold.Class() < policy.Critical {
					t.Errorf("%gx: critical refused (%v) at %v", factor, v.Reason, v.Threshold)
				}
			}
		}
		s.offer(factor)
		s.load[3] *= 1.5 // more than there is capacity for, so that some must be refused
		s.run(10 * time.Second)
		if factor > 4 && refused == 0 {
			t.Errorf("%gx: nothing was refused that the test is about", factor)
		}
	}
}

func TestSimLowTrafficHoldsTheLimitAndCapacity(t *testing.T) {
	for _, c := range simCases[:4] {
		t.Run(c.String(), func(t *testing.T) {
			s := c.service(6)
			s.offer(1.5)
			s.run(20 * time.Second)
			limit := s.agents[0].Stats().Limit
			truth := float64(c.slots) / 0.010
			for _, factor := range []float64{0.1, 0.75} {
				s.offer(factor)
				s.run(180 * time.Second)
				stats := s.agents[0].Stats()
				t.Logf("at %g: limit %d, was %d; capacity %.0f of %.0f; baseline %v", factor, stats.Limit, limit, stats.Capacity, truth, stats.Baseline)
				if math.Abs(float64(stats.Limit-limit)) > 0.3*float64(limit)+1 {
					t.Errorf("limit %d, was %d", stats.Limit, limit)
				}
				if math.Abs(stats.Capacity/truth-1) > 0.15 {
					t.Errorf("capacity %.0f of %.0f", stats.Capacity, truth)
				}
			}
		})
	}
}

func TestSimCapacityIsUnknownUntilCongestionAndRisesWithTheService(t *testing.T) {
	s := newOneService(7, 1, 8, 10*time.Millisecond)
	s.offer(0.5)
	s.run(10 * time.Second)
	if got := s.agents[0].Stats().Capacity; got != 0 {
		t.Errorf("never congested, and capacity is %.0f", got)
	}
	s.offer(1.5)
	s.run(10 * time.Second)
	s.slots = 16
	s.run(10 * time.Second) // 1.5 times 800 is 75 % of 1600
	s.offer(1.5)
	s.run(10 * time.Second)
	if got := s.agents[0].Stats().Capacity; got < 1600*0.85 || got > 1600*1.15 {
		t.Errorf("capacity %.0f of 1600", got)
	}
}

func TestSimAStallOfOurOwnIsNotOverload(t *testing.T) {
	s := newOneService(8, 1, 64, 10*time.Millisecond)
	s.offer(1.2)
	s.run(10 * time.Second)
	s.offer(0.7)
	s.run(5 * time.Second)
	limit := s.agents[0].Stats().Limit
	for range 4 {
		s.paused = s.now + 200*time.Millisecond
		s.run(300 * time.Millisecond)
	}
	s.run(time.Second)
	least, most := s.limits(15*time.Second, 17*time.Second)
	t.Logf("%d, then %d to %d", limit, least, most)
	if float64(least) < 0.8*float64(limit) || float64(most) > 1.5*float64(limit) {
		t.Errorf("limit %d, while this process stalled %d to %d", limit, least, most)
	}
}

func TestAnExpectationEndsHoweverAbsurd(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	a := policy.NewAdmission(policy.DefaultAdmissionConfig(), now)
	bulk := policy.Entry{Rank: policy.RankOf(policy.Bulk, 0, true, false)}
	a.Enter(now, bulk, nil)
	a.Leave(now, policy.Sample{Latency: time.Millisecond})
	for range 103 {
		a.Expect(policy.Expectation{Rates: [4]float64{1e300, 1e300, 1e300, 1e300}, Cause: "b"})
		now = now.Add(100 * time.Millisecond)
		a.Tick(now)
	}
	if got := a.Enter(now, bulk, nil); got.Verdict != policy.Admitted {
		t.Errorf("ten seconds after what never came: %+v, %+v", got, a.Stats())
	}
}

func TestSimAPauseOfTheServiceIsNotOverload(t *testing.T) {
	s := newOneService(9, 1, 64, 10*time.Millisecond)
	s.offer(1.2)
	s.run(10 * time.Second)
	s.offer(0.7)
	s.run(5 * time.Second)
	limit := s.agents[0].Stats().Limit
	for range 5 {
		s.pausedService = s.now + 60*time.Millisecond
		s.run(3 * time.Second)
	}
	least, most := s.limits(15*time.Second, 30*time.Second)
	t.Logf("%d, then %d to %d", limit, least, most)
	if float64(least) < 0.7*float64(limit) {
		t.Errorf("limit %d, with pauses %d", limit, least)
	}
}

func TestSimABaselineDoesNotDriftInALongIncident(t *testing.T) {
	for _, c := range simCases[:6] {
		t.Run(c.String(), func(t *testing.T) {
			s := c.service(10)
			s.offer(0.5)
			s.run(10 * time.Second)
			s.offer(2)
			s.run(2 * time.Minute)
			for _, a := range s.agents {
				stats := a.Stats()
				t.Logf("limit %d, baseline %v", stats.Limit, stats.Baseline)
				if off := float64(stats.Baseline)/float64(10*time.Millisecond) - 1; off > 0.25 || off < -0.25 {
					t.Errorf("baseline %v after two minutes of overload", stats.Baseline)
				}
			}
			least, most := s.limits(120*time.Second, 129*time.Second)
			if most > 2*c.slots || least < c.slots/2 {
				t.Errorf("limits %d to %d of %d slots", least, most, c.slots)
			}
		})
	}
}

func TestSimAServiceThatBecameSlowerKeepsItsLimit(t *testing.T) {
	for _, c := range simCases[:4] {
		for _, factor := range []float64{0.4, 2} {
			t.Run(c.String(), func(t *testing.T) {
				s := c.service(11)
				s.offer(1.5)
				s.run(10 * time.Second)
				s.hold *= 2
				s.offer(factor)
				s.run(30 * time.Second)
				sum := s.over(20*time.Second, 39*time.Second)
				goodput := float64(sum.allGood()) / 19 / (min(1, factor) * float64(c.slots) / s.hold.Seconds())
				t.Logf("at %g: limit %d, baseline %v, goodput %.3f", factor, s.agents[0].Stats().Limit, s.agents[0].Stats().Baseline, goodput)
				if goodput < 0.9 {
					t.Errorf("goodput %.3f of what it still can", goodput)
				}
			})
		}
	}
}

func TestSimCapacityComesBack(t *testing.T) {
	for _, c := range simCases[:4] {
		t.Run(c.String(), func(t *testing.T) {
			s := c.service(12)
			s.offer(1.3)
			s.run(5 * time.Second)
			s.offer(0.8)
			s.run(5 * time.Second)
			s.slots /= 2
			s.run(60 * time.Second)
			s.slots *= 2
			s.run(15 * time.Second)
			sum := s.over(75*time.Second, 84*time.Second)
			arrived := sum.arrived[0] + sum.arrived[1] + sum.arrived[2] + sum.arrived[3]
			goodput := float64(sum.allGood()) / float64(arrived)
			t.Logf("%.4f of what arrives, limit %d", goodput, s.agents[0].Stats().Limit)
			if goodput < 0.985 {
				t.Errorf("goodput %.4f five seconds after", goodput)
			}
		})
	}
}
