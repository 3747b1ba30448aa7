package policy_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
)

func TestQuotaIsForThoseWhoTakeMoreForLong(t *testing.T) {
	q := policy.NewQuota(0.5)
	var slots []policy.QuotaSlot
	over := 0
	for i := range 600 {
		is, slot := q.Begin("flood", 8)
		slots = append(slots, slot)
		if is {
			over++
		}
		if i < 4 && is {
			t.Errorf("request %d of a quota of 4 is over it", i+1)
		}
	}
	if over < 500 {
		t.Errorf("%d of 600 at once were over a quota of 4", over)
	}
	if is, slot := q.Begin("calm", 8); is {
		t.Error("one request of another tenant is over quota")
	} else {
		q.End(slot)
	}
	for _, slot := range slots {
		q.End(slot)
	}
	if is, _ := q.Begin("flood", 8); is {
		t.Error("with nothing else in flight it is over quota")
	}
}

func TestAbsurdQuotasAreNone(t *testing.T) {
	for _, share := range []float64{0, -1, 1, 2, math.NaN(), math.Inf(1)} {
		q := policy.NewQuota(share)
		for range 1000 {
			if over, _ := q.Begin("t", 1); over {
				t.Fatalf("share %v: over quota", share)
			}
		}
	}
	if over, _ := policy.NewQuota(0.1).Begin("t", -5); over {
		t.Error("the first of a tenant is over a limit below zero")
	}
}

func TestQuotaDoesNotAllocate(t *testing.T) {
	q, tenant := policy.NewQuota(0.5), fmt.Sprintf("tenant-%d", 7)
	if n := testing.AllocsPerRun(100, func() {
		_, slot := q.Begin(tenant, 8)
		q.End(slot)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestSimTenantFlood has two tenants of one class; one offers twenty times as much.
func TestSimTenantFlood(t *testing.T) {
	s := newOneService(5, 1, 8, 10*time.Millisecond)
	q := policy.NewQuota(0.5)
	s.tenant = func() (over func() bool, end func(), who int) {
		name := "flood"
		if s.rng.Float64() < 1.0/21 {
			name, who = "calm", 1
		}
		is, slot := q.Begin(name, max(1, s.agents[0].Stats().Limit))
		return func() bool { return is }, func() { q.End(slot) }, who
	}
	s.load = [4]float64{0, 0, 0, 240 * 21}
	s.run(22 * time.Second)
	sum := s.over(2*time.Second, 21*time.Second)
	calm := float64(sum.okWho[1]) / float64(sum.byWho[1])
	flood := float64(sum.okWho[0]) / 19
	t.Logf("calm %.4f of its requests, flood %.0f a second", calm, flood)
	if calm < 0.99 {
		t.Errorf("the calm tenant: %.4f answered, want 0.99", calm)
	}
	if flood < 800-240-80 {
		t.Errorf("the flooding one: %.0f a second, though nobody else wants those slots", flood)
	}
}

func TestDemandFollowsWhatIsAsked(t *testing.T) {
	var d policy.Demand
	now := time.Unix(0, 0)
	d.Tick(now)
	for range 50 {
		for range 20 {
			d.Count(policy.High)
		}
		d.Count(policy.Class(77))
		now = now.Add(100 * time.Millisecond)
		d.Tick(now)
	}
	rates := d.Rates()
	if math.Abs(rates[policy.High]-200) > 4 || math.Abs(rates[policy.Critical]-10) > 1 || rates[policy.Bulk] != 0 {
		t.Errorf("%v", rates)
	}
	d.Tick(now.Add(-time.Hour)) // a clock that went back
	for range 200 {
		now = now.Add(100 * time.Millisecond)
		d.Tick(now)
	}
	if rates := d.Rates(); rates != [4]float64{} {
		t.Errorf("twenty seconds of silence: %v", rates)
	}
}
