package policy_test

import (
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// oneSlot is an admission of one slot, taken, and a queue where a normal request
// of little patience and a bulk one wait.
func oneSlot(t *testing.T) (a *policy.Admission, now time.Time, normal, bulk *policy.Admit) {
	now = time.Unix(1_700_000_000, 0)
	a = policy.NewAdmission(policy.DefaultAdmissionConfig(), now)
	a.SetAdaptive(false)
	a.SetHard(1)
	if v := a.Enter(now, policy.Entry{Rank: own(policy.Bulk)}, nil); v.Verdict != policy.Admitted {
		t.Fatalf("with a free slot: %+v", v)
	}
	normal, bulk = new(policy.Admit), new(policy.Admit)
	for _, w := range []struct {
		entry policy.Entry
		told  *policy.Admit
	}{
		{policy.Entry{Rank: own(policy.Normal), Deadline: now.Add(time.Millisecond)}, normal},
		{policy.Entry{Rank: own(policy.Bulk)}, bulk},
	} {
		if *w.told = a.Enter(now, w.entry, &policy.Waiter{Decided: func(v policy.Admit) { *w.told = v }}); w.told.Verdict != policy.Queued {
			t.Fatalf("without a free slot: %+v", *w.told)
		}
	}
	return a, now, normal, bulk
}

func own(c policy.Class) policy.Rank { return policy.RankOf(c, 0, false, false) }

// A slot that is left over when a higher class has run out of patience goes to a
// lower one only at a threshold that admits it.
func TestWhoWaitsIsAdmittedAtAThresholdThatAdmitsIt(t *testing.T) {
	a, now, normal, bulk := oneSlot(t)
	a.Leave(now.Add(5*time.Millisecond), policy.Sample{Latency: time.Millisecond})
	if normal.Verdict != policy.Shed || normal.Reason != policy.ShedExpired || normal.Threshold <= own(policy.Bulk) {
		t.Errorf("normal, whose time was over: %+v", *normal)
	}
	if bulk.Verdict != policy.Admitted || bulk.Threshold > own(policy.Bulk) {
		t.Errorf("bulk, for whom a slot was left: %+v", *bulk)
	}
}

// Where a class has just run out of patience, a lower one that comes at that very
// moment neither waits nor gets in.
func TestNobodyIsQueuedBelowTheThresholdItsOwnArrivalRaised(t *testing.T) {
	a, now, normal, bulk := oneSlot(t)
	late := a.Enter(now.Add(5*time.Millisecond), policy.Entry{Rank: own(policy.Bulk)}, &policy.Waiter{Decided: func(v policy.Admit) { t.Errorf("decided: %+v", v) }})
	if normal.Reason != policy.ShedExpired || bulk.Verdict != policy.Queued {
		t.Fatalf("those who waited: %+v, %+v", *normal, *bulk)
	}
	if late.Verdict != policy.Shed || late.Reason != policy.ShedOverload || late.Threshold <= own(policy.Bulk) {
		t.Errorf("bulk that came as normal was refused: %+v", late)
	}
}

// What spilled in has no other region to go to: it waits twice as long as the
// same class does in its own region, which asks a second one.
func TestHowLongARequestWaits(t *testing.T) {
	for name, c := range map[string]struct {
		rank    policy.Rank
		longest time.Duration
	}{
		"normal":            {own(policy.Normal), 20 * time.Millisecond},
		"normal, spilled":   {policy.RankOf(policy.Normal, 0, true, false), 40 * time.Millisecond},
		"critical":          {own(policy.Critical), 250 * time.Millisecond},
		"critical, spilled": {policy.RankOf(policy.Critical, 0, true, false), 250 * time.Millisecond},
	} {
		now := time.Unix(1_700_000_000, 0)
		a := policy.NewAdmission(policy.DefaultAdmissionConfig(), now)
		a.SetAdaptive(false)
		a.SetHard(1)
		a.Enter(now, policy.Entry{Rank: own(policy.Normal)}, nil)
		shed := false
		a.Enter(now, policy.Entry{Rank: c.rank}, &policy.Waiter{Decided: func(v policy.Admit) { shed = v.Reason == policy.ShedExpired }})
		if a.Tick(now.Add(c.longest - 1)); shed {
			t.Errorf("%s: refused before %s", name, c.longest)
		}
		if a.Tick(now.Add(c.longest)); !shed {
			t.Errorf("%s: still waits after %s", name, c.longest)
		}
	}
}
