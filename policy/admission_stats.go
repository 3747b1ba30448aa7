package policy

import (
	"slices"
	"time"
)

// AdmissionStats is what an Admission knows and does, as of its last tick;
// InFlight and Queued are current. Rates are moving averages over about a second.
type AdmissionStats struct {
	Limit    int // requests that may be in flight: the adaptive limit, or Hard if that is less
	Hard     int // 0: none
	InFlight int
	Queued   int

	Threshold Rank          // what ranks lower is refused
	Rejecting float64       // share of arrivals that were refused, 0 to 1
	QueueWait time.Duration // the longest that one waited who was then admitted, within the last second

	// Capacity is how many requests a second the service can take from this
	// agent. 0: not known, since it was never congested and has no hard limit.
	Capacity float64
	Serving  float64 // requests that ended, per second

	Local, Spilled [int(Critical) + 1]float64 // arrivals per second by class

	Baseline time.Duration // usual latency without congestion; 0 unknown
	Latency  time.Duration // of the last window; 0 unknown

	Expected [int(Critical) + 1]float64 // spill still to come, per second by class
	Moving   [int(Critical) + 1]float64 // devices of other regions still to come here, the same
	Cause    string                     // region because of whose spill or devices Threshold is up; "": local demand is
}

// observed is what is only for show, and for the rates by class.
type observed struct {
	local, spilled [int(Critical) + 1]float64
	arriving       float64
	serving        float64
	refusing       float64
	waits          [waitWindows]time.Duration // longest of each of the last windows
	nextWait       int
}

const waitWindows = 10

func (o *observed) observe(w *window, elapsed, longest time.Duration) {
	for c := range o.local {
		spilled := RankOf(Class(c), 0, true, false).band()
		o.spilled[c] = smoothed(o.spilled[c], perSecond(w.arrivals[spilled], elapsed), elapsed, rateMemory)
		own := w.arrivals[spilled+1] + w.arrivals[c]
		o.local[c] = smoothed(o.local[c], perSecond(own, elapsed), elapsed, rateMemory)
	}
	o.arriving = smoothed(o.arriving, perSecond(w.arrived(), elapsed), elapsed, rateMemory)
	o.serving = smoothed(o.serving, perSecond(uint64(w.ended), elapsed), elapsed, rateMemory)
	o.refusing = smoothed(o.refusing, perSecond(w.shed, elapsed), elapsed, rateMemory)
	o.waits[o.nextWait] = longest
	o.nextWait = (o.nextWait + 1) % waitWindows
}

func perSecond(count uint64, elapsed time.Duration) float64 {
	return float64(count) / elapsed.Seconds()
}

func (o *observed) rejecting() float64 {
	if o.arriving == 0 {
		return 0
	}
	return min(1, o.refusing/o.arriving)
}

// publish makes the statistics of now those that Stats returns.
func (a *Admission) publish() {
	c := &a.control
	s := &AdmissionStats{
		Limit: c.slots(), Hard: c.hard,
		Threshold: c.rejector.threshold, Rejecting: c.view.rejecting(), QueueWait: slices.Max(c.view.waits[:]),
		Capacity: c.capacity(), Serving: c.view.serving,
		Local: c.view.local, Spilled: c.view.spilled,
		Baseline: c.limiter.usual, Latency: c.limiter.last,
		Expected: c.ranks.expected, Moving: c.ranks.moving,
	}
	if c.becauseOfSpill() {
		s.Cause = c.forecast.cause
	}
	a.stats.Store(s)
}

// becauseOfSpill says that without what another region brings, or is to, there
// were room.
func (c *control) becauseOfSpill() bool {
	own := c.rejector.in - sumOf(c.view.spilled) - c.forecast.moving.come(c.view.local)
	return c.rejector.threshold > 0 && c.forecast.stands() && own <= c.rejector.room
}

// Stats returns what is known now. It does not lock; it costs one copy.
func (a *Admission) Stats() AdmissionStats {
	s := *a.stats.Load()
	s.InFlight, s.Queued = int(a.inFlight.Load()), int(a.waiting.Load())
	return s
}
