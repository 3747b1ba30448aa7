package policy

import "time"

// control is what Tick keeps from one time to the next.
type control struct {
	last      time.Duration
	stalls    int // late ticks in a row
	hard      int
	fixed     bool // the limit does not follow latency
	instances int

	limiter  limiter
	gathered measurement // windows that had too few answers by themselves
	arrived  float64     // arrivals in gathered
	found    float64     // sum of what they found in flight
	rejector rejector
	forecast forecast
	ranks    rankMix
	view     observed
}

const (
	lateTick     = 1.5 // windows between ticks: this process stalled, and what it measured is its own
	starvingFrom = 3   // times as long as others wait at most

	mostStalls = 5 // in a row; if every tick is late, that is the machine we have
)

// Tick works what happened since the last one into limit and threshold. Its
// owner calls it every AdmissionConfig.Window; one that comes half a window too
// late finds that this process stalled, and discards what was measured. It calls
// Decided of those who get a slot by it, or whose time is over.
func (a *Admission) Tick(now time.Time) {
	a.mu.Lock()
	at := a.at(now)
	if elapsed := at - a.control.last; elapsed >= a.config.Window/2 {
		a.control.last = at
		a.tick(at, elapsed)
	}
	a.mu.Unlock()
	a.serveQueue(now)
}

func (a *Admission) tick(at, elapsed time.Duration) {
	c := &a.control
	w := a.meter.read()
	dropped, longest := a.queue.takeDrops()
	counts := a.counts(&w, elapsed, dropped)
	counts.starving = counts.droppedCritical() || longest > starvingFrom*a.patience(0, -1) ||
		c.rejector.threshold > RankOf(Critical, 0, true, false)
	c.view.observe(&w, elapsed, longest)
	if c.stalled(elapsed, a.config.Window) {
		a.meter.after.Store(int64(at))
		c.discard()
	} else {
		c.gather(&w, &counts)
		c.rejector.learn(&counts)
	}
	c.conclude(a.config, a.limit.Load())
	a.decide(elapsed)
}

// counts is what the rejector wants to know of a window.
func (a *Admission) counts(w *window, elapsed time.Duration, dropped int) tickCounts {
	t := tickCounts{elapsed: elapsed, arrived: float64(w.arrived()), ended: float64(w.ended), freed: float64(w.freed), drops: dropped >= 0}
	t.dropped = Rank(max(0, dropped))
	if t.arrived > 0 {
		t.inFlight, t.queued = float64(w.found)/t.arrived, float64(w.queued)/t.arrived
	} else {
		t.inFlight, t.queued = float64(a.inFlight.Load()), float64(a.waiting.Load())
	}
	return t
}

func (c *control) stalled(elapsed, window time.Duration) bool {
	if elapsed <= time.Duration(lateTick*float64(window)) {
		c.stalls = 0
		return false
	}
	c.stalls++
	return c.stalls <= mostStalls
}

func (c *control) discard() {
	c.gathered = measurement{}
	c.arrived, c.found = 0, 0
}

// gather adds a window to those that are not yet enough.
func (c *control) gather(w *window, t *tickCounts) {
	m := &c.gathered
	m.elapsed += t.elapsed
	m.latency.add(&w.latency)
	m.overdue.count += w.overdue.count
	m.overdue.sum += w.overdue.sum
	m.ended += w.ended - w.refused
	m.refused += w.refused
	m.freed += w.freed
	m.starving = m.starving || t.starving
	m.shedding = m.shedding || t.drops || c.rejector.threshold > 0
	c.arrived += max(1, t.arrived)
	c.found += t.inFlight * max(1, t.arrived)
	m.inFlight = c.found / c.arrived
}

// conclude learns from what was gathered once that is a measurement: enough
// answers, over a time that answers to the last change of the limit have come in.
func (c *control) conclude(config AdmissionConfig, limit int64) {
	const settles, longest = 2, 2 * time.Second
	m, samples := &c.gathered, int64(config.MinSamples)
	if m.elapsed < min(longest, max(config.Window, settles*m.settling())) {
		return
	}
	switch {
	case m.latency.count()+m.refused >= samples:
		c.limiter.learn(m)
	case m.inVain(limit, samples):
		c.limiter.retreat()
	default:
		return
	}
	c.discard()
}

// decide puts limit and threshold in force.
func (a *Admission) decide(elapsed time.Duration) {
	c := &a.control
	limit := c.slots()
	c.forecast.age(elapsed)
	c.ranks.read(&a.meter)
	c.ranks.expected = c.forecast.spilled.remaining(c.view.spilled)
	c.ranks.moving = c.forecast.moving.remaining(c.view.local)
	c.rejector.decide(float64(limit), &c.ranks, c.capacity())
	a.limit.Store(int64(limit))
	a.usual.Store(int64(c.limiter.usual))
	a.queue.mu.Lock()
	a.ruling.Store(uint32(c.rejector.threshold))
	a.rule()
	a.queue.mu.Unlock()
	a.publish()
}

// slots is the limit in force.
func (c *control) slots() int {
	if c.fixed {
		return int(c.limiter.most)
	}
	if c.hard > 0 {
		return min(int(c.limiter.limit), c.hard)
	}
	return int(c.limiter.limit)
}

// capacity in messages a second, 0 unknown: what was seen, but no more than the
// hard limit lets through.
func (c *control) capacity() float64 {
	seen := c.limiter.capacity.now(c.limiter.usual, c.rejector.carried())
	if c.hard == 0 || c.limiter.usual == 0 {
		return seen
	}
	through := float64(c.hard) * c.rejector.carried() / c.limiter.usual.Seconds()
	if seen == 0 {
		return through
	}
	return min(seen, through)
}
