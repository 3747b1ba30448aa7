package policy

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"
)

// InstanceStatus is what the catalog says of an instance.
type InstanceStatus uint8

// The states of an instance in the catalog.
const (
	InstanceReady      InstanceStatus = iota // passing its checks
	InstanceCritical                         // failing its checks: never chosen
	InstanceDistrusted                       // gone from the catalog: chosen only when no ready one is left
)

// String returns the status as shown to people.
func (s InstanceStatus) String() string {
	switch s {
	case InstanceReady:
		return "ready"
	case InstanceCritical:
		return "critical"
	}
	return "distrusted"
}

// InstanceSpec is an instance as a catalog describes it.
type InstanceSpec struct {
	ID      string
	Address string // host:port
	Tags    []string
	Meta    map[string]string
	Status  InstanceStatus
}

func (s *InstanceSpec) equal(o *InstanceSpec) bool {
	return s.ID == o.ID && s.Address == o.Address && s.Status == o.Status &&
		slices.Equal(s.Tags, o.Tags) && maps.Equal(s.Meta, o.Meta)
}

// Instance is one registered address of a service, made by an InstanceTable.
// What the catalog says of it never changes; its load and health are shared
// with the Instances that stand for the same ID and address in other views.
// Safe for concurrent use.
type Instance struct {
	InstanceSpec
	Service string

	health *health
}

// Outcome says how a request to an instance ended.
type Outcome uint8

// The outcomes of a request.
const (
	OutcomeOK        Outcome = iota // answered, a client's own mistake included
	OutcomeFailed                   // not reached, broken off, timed out, or answered 500, 502 or 504
	OutcomeRefused                  // answered that it is overloaded: 429 or 503
	OutcomeAbandoned                // the client went away: says nothing of the instance
)

// Begin counts a request as in flight. Every Begin needs one End. Does not
// allocate or lock.
func (i *Instance) Begin() { i.health.inFlight.Add(1) }

// End ends what Begin began and learns from it. latency runs from Begin to the
// response header. Does not allocate, and locks only when the outcome may eject
// the instance.
func (i *Instance) End(now time.Time, latency time.Duration, outcome Outcome) {
	h := i.health
	h.inFlight.Add(-1)
	if outcome == OutcomeAbandoned {
		return
	}
	at := h.service.since(now)
	h.latency.learn(at, latency, outcome == OutcomeOK)
	h.judge(at, outcome)
}

// InFlight counts the requests begun and not ended.
func (i *Instance) InFlight() int { return int(i.health.inFlight.Load()) }

// Latency returns the moving average, 0 when nothing was measured yet.
func (i *Instance) Latency() time.Duration {
	average, _ := i.health.latency.load()
	return time.Duration(average)
}

// Ejected says whether the instance is kept out for its failures.
func (i *Instance) Ejected(now time.Time) bool { return i.health.backIn(now) > 0 }

// lighterThan compares requests in flight times latency. While one of the two
// is unmeasured requests in flight alone count. The average of an instance that
// gets no requests fades, but only down to the other's, so that it is tried
// again without being flooded.
func (i *Instance) lighterThan(o *Instance, at int64) bool {
	mine, myAge := i.health.latency.load()
	theirs, theirAge := o.health.latency.load()
	myLoad, theirLoad := float32(i.InFlight()+1), float32(o.InFlight()+1)
	if mine == 0 || theirs == 0 {
		return myLoad < theirLoad
	}
	floor := min(mine, theirs)
	mine = max(floor, faded(mine, myAge.until(at)))
	theirs = max(floor, faded(theirs, theirAge.until(at)))
	return myLoad*mine < theirLoad*theirs
}

func (i *Instance) describe(now time.Time) string {
	text := fmt.Sprintf("%s, %d in flight", i.Status, i.InFlight())
	if latency := i.Latency(); latency > 0 {
		text += ", latency " + latency.Round(10*time.Microsecond).String()
	}
	if share := i.health.share(i.health.service.since(now)); share < 1 {
		text += fmt.Sprintf(", slow start at %.0f%%", share*100)
	}
	return text
}

// health is the load and health of one ID and address.
type health struct {
	service  *serviceHealth
	inFlight atomic.Int64
	latency  latencyAverage
	window   atomic.Uint64 // see count
	failures atomic.Uint32 // in a row
	backAt   atomic.Int64  // ns since service.epoch: end of the newest ejection or illness; 0: never
	strikes  int           // ejections not yet forgiven; guarded by service.mu
}

// share is the part of its draws that an instance takes: 0 while ejected, then
// from slowStartFloor to 1 over InstanceTable.SlowStart.
func (h *health) share(at int64) float32 {
	back, slowStart := h.backAt.Load(), h.service.slowStart
	if back == 0 || at >= back+int64(slowStart) {
		return 1
	}
	if at < back {
		return 0
	}
	return max(slowStartFloor, float32(at-back)/float32(slowStart))
}

func (h *health) backIn(now time.Time) time.Duration {
	return time.Duration(h.backAt.Load() - h.service.since(now))
}
