package policy

import (
	"math"
	"sync/atomic"
)

// Quota notices tenants that take more than their share of what is in flight.
// It does not refuse: what is over quota ranks lowest, so that it still gets
// what nobody else wants. Tenants share a table of fixed size by hash, so a
// stranger cannot make it grow; by collisions two of them in about a thousand
// may count as one. Safe for concurrent use, lock-free, no allocations.
type Quota struct {
	share   float64
	tenants [quotaTenants]tenantLoad
}

const (
	quotaTenants  = 4096
	quotaMemory   = 128 // requests of the tenant that its average reaches back
	quotaPatience = 0.9 // of the quota: a tenant below on average may have bursts above
	averageUnit   = 1 << 12
	mostAveraged  = 1 << 18 // in flight; so that averages do not overflow
)

type tenantLoad struct {
	inFlight atomic.Int32
	average  atomic.Int32 // of what its requests found in flight, in 1/averageUnit
}

// QuotaSlot is what Begin counted, for End.
type QuotaSlot struct{ tenant uint16 }

// NewQuota returns a quota of a share of what may be in flight, above 0 to 1.
// Anything else counts as 1: no tenant is ever over it.
func NewQuota(share float64) *Quota {
	if !(share > 0 && share < 1) {
		share = math.Inf(1)
	}
	return &Quota{share: share}
}

// Begin counts a request of a tenant and says whether it is over quota: the
// tenant has more than its share of limit in flight (at least one), and did so
// on average. Every Begin needs one End.
func (q *Quota) Begin(tenant string, limit int) (over bool, slot QuotaSlot) {
	slot = QuotaSlot{uint16(scramble(hashString(hashSeed, tenant)) % quotaTenants)}
	t := &q.tenants[slot.tenant]
	now := t.inFlight.Add(1)
	average := t.average.Load()
	average += (min(now-1, mostAveraged)*averageUnit - average) / quotaMemory
	t.average.Store(average)
	allowed := max(1, q.share*float64(max(0, limit)))
	return float64(now) > allowed && float64(average) > quotaPatience*allowed*averageUnit, slot
}

// End ends what Begin began.
func (q *Quota) End(slot QuotaSlot) { q.tenants[slot.tenant%quotaTenants].inFlight.Add(-1) }
