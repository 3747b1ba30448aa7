package policy

import "time"

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
	Cause    string                     // region because of whose spill Threshold is up; "": local demand is
}

// Stats returns what is known now. It does not lock; it costs one copy.
func (a *Admission) Stats() AdmissionStats {
	s := *a.stats.Load()
	s.InFlight, s.Queued = int(a.inFlight.Load()), int(a.waiting.Load())
	return s
}
