package policy_test

import (
	"fmt"
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
