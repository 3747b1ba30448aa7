package policy_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// The first requests to a service that just began take long: connections are
// made, code is cold. That is not congestion while slots are free.
func TestSimSlowFirstRequestsShedNothing(t *testing.T) {
	for _, slow := range []float64{5, 10} {
		for _, first := range []int{20, 60} {
			for seed := range uint64(5) {
				t.Run(fmt.Sprintf("%gx/%d/%d", slow, first, seed), func(t *testing.T) {
					s := newOneService(seed, 2, 8, 40*time.Millisecond)
					s.sigma = 0.2
					s.first, s.slow = first, slow
					for _, a := range s.agents {
						a.SetHard(4)
					}
					s.load = [4]float64{20, 30, 30, 20}
					free, least := 0, 4
					s.decided = func(r *simRequest, v policy.Admit) {
						stats := s.agents[r.agent].Stats()
						least = min(least, stats.Limit)
						if v.Verdict == policy.Shed && stats.InFlight <= stats.Limit/2 {
							free++
						}
					}
					s.run(10 * time.Second)
					early, late := s.over(0, 3*time.Second), s.over(3*time.Second, 10*time.Second)
					t.Logf("least limit %d, %d shed beside free slots; shed at first %v of %v, then %v of %v", least, free, early.shed, early.arrived, late.shed, late.arrived)
				})
			}
		}
	}
}
