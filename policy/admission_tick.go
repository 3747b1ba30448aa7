package policy

import "time"

// control is what Tick keeps from one time to the next.
type control struct {
	config    AdmissionConfig
	hard      int
	instances int
	expected  Expectation
}

func (c *control) init(config AdmissionConfig) { c.config = config }

func (c *control) threshold() Rank { return 0 }

// Tick works what happened since the last one into limit and threshold. Its
// owner calls it every AdmissionConfig.Window. It calls Decided of those who get
// a slot by it, or whose time is over.
func (a *Admission) Tick(now time.Time) {
	a.mu.Lock()
	s := AdmissionStats{Limit: int(a.limit.Load()), Hard: a.control.hard}
	a.stats.Store(&s)
	a.mu.Unlock()
	a.serveQueue(now)
}

// Expect tells of spill that is coming, in place of what was told before. The
// threshold rises for it at the next tick, and comes down as real spilled
// requests arrive, or when they do not within about ten seconds.
func (a *Admission) Expect(x Expectation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.control.expected = x
}

// SetFloor refuses requests whose rank, spilled, is below r: the threshold that
// the region behind this Admission reports. 0: none.
func (a *Admission) SetFloor(r Rank) { a.floor.Store(uint32(min(r, MaxRank+1))) }

// SetHard sets the most that may be in flight whatever is learned; 0: no such
// limit.
func (a *Admission) SetHard(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.control.hard = max(0, n)
	limit := a.config.StartLimit
	if n > 0 {
		limit = n
	}
	a.limit.Store(int64(limit))
}

// SetInstances tells how many instances are ready: the limit scales with them.
// 0: unknown.
func (a *Admission) SetInstances(ready int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.control.instances = max(0, ready)
}
