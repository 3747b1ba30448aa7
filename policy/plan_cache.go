package policy

import "sync/atomic"

const (
	planSlots   = 64
	maxPlanKept = 4096 // plans in one view; further ones are computed each time
)

// planCache keeps the plans of one view: a fixed hash table of chains that only
// grow. Two goroutines may both add the same plan, which does no harm.
type planCache struct {
	slots [planSlots]atomic.Pointer[planEntry]
	count atomic.Int32
}

type planEntry struct {
	key  planKey
	plan Plan
	next *planEntry
}

// planKey holds the slices by identity: a compiled policy never changes them.
type planKey struct {
	target       Target
	mode         FailoverMode
	beyondGroup  bool
	regions      *string
	regionCount  int
	allowed      *string
	allowedCount int
}

func newPlanKey(t Target, f Failover, allowed []string) planKey {
	key := planKey{
		target: t, mode: f.Mode, beyondGroup: f.BeyondGroup,
		regionCount: len(f.Regions), allowedCount: len(allowed),
	}
	if len(f.Regions) > 0 {
		key.regions = &f.Regions[0]
	}
	if len(allowed) > 0 {
		key.allowed = &allowed[0]
	}
	return key
}

func (k *planKey) slot() uint64 {
	h := hashString(hashString(hashSeed, k.target.Service), k.target.Subset)
	return (h ^ h>>32) % planSlots
}

func (c *planCache) find(key *planKey) *planEntry {
	for e := c.slots[key.slot()].Load(); e != nil; e = e.next {
		if e.key == *key {
			return e
		}
	}
	return nil
}

func (c *planCache) keep(e *planEntry) {
	if c.count.Add(1) > maxPlanKept {
		c.count.Add(-1)
		return
	}
	slot := &c.slots[e.key.slot()]
	for {
		e.next = slot.Load()
		if slot.CompareAndSwap(e.next, e) {
			return
		}
	}
}
