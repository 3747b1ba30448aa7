package policy

// Expect tells of traffic that is coming, in place of what was told before. The
// threshold rises for it at the next tick, and comes down as real requests
// arrive (spilled ones; local ones beyond what came before it was told), or when
// they do not within about ten seconds. Rates that are no numbers, negative or
// infinite count as 0.
func (a *Admission) Expect(x Expectation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.control.forecast.tell(x, a.control.view.local)
}

// SetFloor refuses requests whose rank, spilled, is below r: the threshold that
// the region behind this Admission reports. 0: none.
func (a *Admission) SetFloor(r Rank) { a.floor.Store(uint32(min(r, MaxRank+1))) }

// SetHard sets the most that may be in flight whatever is learned; 0 or less: no
// such limit. Those in flight beyond it finish.
func (a *Admission) SetHard(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := &a.control
	n = min(max(0, n), a.config.MaxLimit)
	if n == c.hard {
		return
	}
	c.hard = n
	c.limiter.most = float64(a.config.MaxLimit)
	if c.hard > 0 {
		c.limiter.most = float64(c.hard)
	}
	c.limiter.set(c.limiter.limit)
	a.limit.Store(int64(c.slots()))
	a.publish()
}

// SetAdaptive says whether the limit follows latency, as it does unless told
// otherwise. Where it does not only the hard limit counts, if there is one.
func (a *Admission) SetAdaptive(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.control.fixed == !on {
		return
	}
	a.control.fixed = !on
	a.limit.Store(int64(a.control.slots()))
	a.publish()
}

// SetAgents tells how many agents send to the service, this one included. What
// one agent changes then shows only in part in what it measures, and slots can be
// taken from each other. 0 or less counts as 1.
func (a *Admission) SetAgents(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.control.limiter.agents = max(1, n)
}

// SetInstances tells how many instances are ready: the limit and the capacity
// scale with them. 0 or less: unknown, and nothing changes.
func (a *Admission) SetInstances(ready int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := &a.control
	if ready <= 0 || ready == c.instances {
		return
	}
	if c.instances > 0 {
		c.limiter.scaled(float64(ready) / float64(c.instances))
		a.limit.Store(int64(c.slots()))
	}
	c.instances = ready
}
