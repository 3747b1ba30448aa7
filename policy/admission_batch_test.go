package policy_test

import (
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// A batch is one slot and as many messages as it carries, wherever it goes.
func TestABatchTakesASlotAndCountsAsItsMessages(t *testing.T) {
	now := time.Unix(0, 0)
	a := policy.NewAdmission(policy.AdmissionConfig{StartLimit: 2}, now)
	low, high := policy.RankOf(policy.Bulk, 0, false, false), policy.RankOf(policy.Bulk, 127, false, false)
	for range 10 {
		same(t, "a message alone", a.Judge(now, policy.Entry{Rank: low}).Verdict, policy.Admitted)
	}
	same(t, "without a slot", a.Stats().InFlight, 0)
	same(t, "judged", a.Enter(now, policy.Entry{Rank: high, Messages: 10, Judged: true}, nil).Verdict, policy.Admitted)
	same(t, "from another region", a.Enter(now, policy.Entry{Rank: high, Messages: 30}, nil).Verdict, policy.Admitted)
	same(t, "no slot", a.Enter(now, policy.Entry{Rank: high, Messages: 40}, nil).Reason, policy.ShedQueueFull)
	a.Leave(now, policy.Sample{Latency: time.Millisecond, Messages: 10})
	a.Leave(now, policy.Sample{Latency: time.Millisecond, Messages: 30})
	same(t, "slots", a.Stats().InFlight, 0)
	a.Tick(now.Add(100 * time.Millisecond))
	s := a.Stats()
	same(t, "as many are served as were let in", s.Local[policy.Bulk] == 2*s.Serving, true)
	same(t, "half are refused", s.Rejecting, 0.5)
}

// A hard limit is of requests; what it lets through is of messages.
func TestAHardLimitLetsAsManyMessagesThroughAsItsSlotsCarry(t *testing.T) {
	rate := func(messages int) float64 {
		now := time.Unix(0, 0)
		a := policy.NewAdmission(policy.AdmissionConfig{StartLimit: 8}, now)
		a.SetHard(8)
		for range 40 {
			for range 4 {
				now = now.Add(10 * time.Millisecond)
				for range 8 {
					a.Enter(now, policy.Entry{Rank: policy.MaxRank, Messages: messages}, nil)
				}
				for range 8 {
					a.Leave(now, policy.Sample{Latency: 10 * time.Millisecond, Class: policy.Critical, Messages: messages})
				}
			}
			now = now.Add(60 * time.Millisecond)
			a.Tick(now)
		}
		return a.Stats().Capacity
	}
	one, fifty := rate(1), rate(50)
	if one < 700 || one > 900 || fifty < 49*one || fifty > 51*one {
		t.Errorf("capacity %g of single messages, %g of batches", one, fifty)
	}
}

// Promise 2 holds for a batch as it does for a request: a raised threshold keeps it
// out although its messages were let in before.
func TestAJudgedBatchHeedsTheThreshold(t *testing.T) {
	now := time.Unix(0, 0)
	a := policy.NewAdmission(policy.AdmissionConfig{StartLimit: 1}, now)
	a.SetFloor(policy.RankOf(policy.High, 0, true, false))
	same(t, "verdict", a.Enter(now, policy.Entry{Rank: policy.RankOf(policy.Bulk, 127, false, false), Messages: 5, Judged: true}, nil).Reason, policy.ShedOverload)
}

// What batches bring to an overloaded service is shed as single messages would be.
func TestBatchesAreShedLikeSingleMessages(t *testing.T) {
	overload := func(messages int) policy.AdmissionStats {
		now := time.Unix(0, 0)
		a := policy.NewAdmission(policy.AdmissionConfig{StartLimit: 8, QueueBound: 64}, now)
		a.SetHard(8)
		served := 0
		w := make([]*policy.Waiter, 0, 10_000)
		n := 0
		for range 100 {
			for range 10 {
				now = now.Add(10 * time.Millisecond)
				for range min(8, a.Stats().InFlight) {
					a.Leave(now, policy.Sample{Latency: 10 * time.Millisecond, Class: policy.Bulk, Messages: messages})
					served++
				}
				for range 16 {
					n++
					w = append(w, &policy.Waiter{Decided: func(policy.Admit) {}})
					rank := policy.RankOf(policy.Bulk, uint8(n*37%128), false, false)
					a.Enter(now, policy.Entry{Rank: rank, Messages: messages}, w[len(w)-1])
				}
			}
			a.Tick(now)
		}
		return a.Stats()
	}
	one, ten := overload(1), overload(10)
	if one.Threshold == 0 || one.Rejecting < 0.3 {
		t.Fatalf("no overload: %+v", one)
	}
	if ten.Rejecting < one.Rejecting-0.05 || ten.Rejecting > one.Rejecting+0.05 || max(ten.Threshold, one.Threshold)-min(ten.Threshold, one.Threshold) > 3 || ten.Queued > one.Queued+2 {
		t.Errorf("single: %+v\nbatches: %+v", one, ten)
	}
}

// What was learned of a service from single messages must not hold for batches: their
// region would seem full and spill.
func TestKnownCapacityGrowsWithWhatASlotCarries(t *testing.T) {
	now := time.Unix(0, 0)
	a := policy.NewAdmission(policy.AdmissionConfig{StartLimit: 8, MaxLimit: 8}, now)
	serve := func(windows, slots, messages int, latency time.Duration) float64 {
		for range windows {
			for range 10 {
				now = now.Add(10 * time.Millisecond)
				for range slots {
					a.Enter(now, policy.Entry{Rank: policy.MaxRank, Messages: messages}, nil)
				}
				for range slots + 2 {
					a.Enter(now, policy.Entry{Rank: 0}, nil)
				}
				for range min(a.Stats().InFlight, 8) {
					a.Leave(now, policy.Sample{Latency: latency, Class: policy.Critical, Messages: messages})
				}
			}
			a.Tick(now)
		}
		return a.Stats().Capacity
	}
	serve(20, 2, 1, 10*time.Millisecond)
	alone := serve(40, 8, 1, 14*time.Millisecond)
	gathered := serve(40, 1, 50, 14*time.Millisecond)
	if alone == 0 || gathered < 10*alone {
		t.Errorf("capacity %g of single messages, then %g of batches", alone, gathered)
	}
	if back := serve(40, 1, 1, 14*time.Millisecond); back > gathered/10 || back < alone/2 {
		t.Errorf("capacity %g, then %g of single messages again", alone, back)
	}
}
