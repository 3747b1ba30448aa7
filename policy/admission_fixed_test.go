package policy_test

import (
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
)

func TestLimitThatDoesNotAdaptRefusesNothingWithoutAHardOne(t *testing.T) {
	now := time.Unix(0, 0)
	a := policy.NewAdmission(policy.DefaultAdmissionConfig(), now)
	a.SetAdaptive(false)
	bulk := policy.Entry{Rank: policy.RankOf(policy.Bulk, 0, false, false)}
	for window := range 50 {
		for range 200 { // each slower than the one before
			if got := a.Enter(now, bulk, nil); got.Verdict != policy.Admitted {
				t.Fatalf("window %d: %+v, %+v", window, got, a.Stats())
			}
			a.Leave(now, policy.Sample{Latency: time.Duration(window+1) * 10 * time.Millisecond, Outcome: policy.OutcomeOK})
		}
		now = now.Add(100 * time.Millisecond)
		a.Tick(now)
	}
	a.SetHard(3)
	for range 3 {
		a.Enter(now, bulk, nil)
	}
	if got := a.Enter(now, bulk, nil); got.Verdict != policy.Shed {
		t.Errorf("a fourth beside a hard limit of 3: %+v", got)
	}
	a.SetAdaptive(true)
	a.SetHard(0)
	if limit := a.Stats().Limit; limit >= policy.DefaultAdmissionConfig().MaxLimit {
		t.Errorf("adaptive again, and the limit is %d", limit)
	}
}
