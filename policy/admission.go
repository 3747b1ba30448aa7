package policy

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Admission decides which requests go to a service in a region: how many are
// in flight (a limit that follows the service's latency), and, when more want
// to, which (those that rank highest). Enter asks, Leave gives the slot back,
// and its owner calls Tick every AdmissionConfig.Window. Safe for concurrent
// use; admitting and refusing neither lock nor allocate.
type Admission struct {
	config AdmissionConfig
	epoch  time.Time

	limit     atomic.Int64  // slots there are now: the least of the adaptive and the hard limit
	inFlight  atomic.Int64  // slots taken
	threshold atomic.Uint32 // ranks below are refused: the controller's, or what a full queue raised it to
	floor     atomic.Uint32 // ranks that, spilled, are below are refused
	waiting   atomic.Int64  // length of the queue
	raised    atomic.Bool   // threshold is above the ruling
	ruling    atomic.Uint32 // the controller's threshold
	usual     atomic.Int64  // ns: baseline latency, 0 unknown

	meter meter
	queue waitQueue

	mu      sync.Mutex // guards control
	control control
	stats   atomic.Pointer[AdmissionStats] // as of the last tick
}

// Entry is a request that asks to be admitted. One that carries several messages
// takes one slot; arrivals, ends and refusals, and so demand and capacity, count
// messages.
type Entry struct {
	Rank     Rank
	Deadline time.Time // zero: none
	Messages int       // that it carries; 0 counts as 1
	Judged   bool      // each of them was let in by Judge: they have arrived
}

func (e *Entry) messages() int { return max(1, e.Messages) }

// AdmitVerdict says what becomes of a request.
type AdmitVerdict uint8

// The verdicts on a request.
const (
	Admitted AdmitVerdict = iota // holds a slot: Leave must be called
	Queued                       // Decided will be called
	Shed                         // refused
)

// String returns the verdict as shown to people.
func (v AdmitVerdict) String() string {
	switch v {
	case Admitted:
		return "admitted"
	case Queued:
		return "queued"
	}
	return "shed"
}

// ShedReason says why a request was refused.
type ShedReason uint8

// The reasons for a refusal.
const (
	ShedNone      ShedReason = iota
	ShedOverload             // ranks below the threshold
	ShedQueueFull            // no slot is free, and nobody who waits ranks lower; or it would not wait
	ShedDisplaced            // waited, and one that ranks higher took its place
	ShedDeadline             // its deadline is past, or leaves no time for an answer
	ShedExpired              // waited as long as it may
)

// String returns the reason as used in metrics and problem documents.
func (r ShedReason) String() string {
	switch r {
	case ShedNone:
		return "none"
	case ShedOverload:
		return "overload"
	case ShedQueueFull:
		return "queue-full"
	case ShedDisplaced:
		return "displaced"
	case ShedDeadline:
		return "deadline"
	case ShedExpired:
		return "expired"
	}
	return fmt.Sprintf("reason(%d)", uint8(r))
}

// Admit is the decision on a request. Threshold is the one it was judged by,
// which for one admitted out of the queue is that of when it began to wait: what
// ranks below it is refused. Where a request that was willing to
// wait is refused for want of capacity (any reason but ShedDeadline), it admits
// no lower class.
type Admit struct {
	Verdict   AdmitVerdict
	Reason    ShedReason // ShedNone unless Shed
	Threshold Rank
}

// Sample is how an admitted request ended. Latency runs from its admission to
// the response header. That of answered requests (OutcomeOK) says how the service
// is, and an overload answer (OutcomeRefused) that it has too much. With
// OutcomeAbandoned it is how long an answer was waited for in vain; 0 when that
// was not the service's fault.
type Sample struct {
	Latency  time.Duration
	Outcome  Outcome
	Class    Class
	Messages int // as its Entry said
}

// Expectation is traffic that other regions will bring, in requests a second by
// class, for this agent: Rates is what they will spill in, Moving what devices
// will send that come to this region's own edges since their region died, and so
// rank as local. Cause is the region it comes from.
type Expectation struct {
	Rates  [int(Critical) + 1]float64
	Moving [int(Critical) + 1]float64
	Cause  string
}

// NewAdmission returns an Admission that has learned nothing yet.
func NewAdmission(cfg AdmissionConfig, now time.Time) *Admission {
	a := &Admission{config: cfg.withDefaults(), epoch: now}
	a.control.limiter = newLimiter(a.config)
	a.control.rejector.critical = criticalMemory + 1
	a.queue.dropped = -1
	a.limit.Store(int64(a.config.StartLimit))
	a.stats.Store(&AdmissionStats{Limit: a.config.StartLimit})
	return a
}

// at is the time since the beginning, held to 0 or more.
func (a *Admission) at(now time.Time) time.Duration { return max(0, now.Sub(a.epoch)) }
