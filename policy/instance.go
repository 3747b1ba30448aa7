package policy

import "time"

// InstanceStatus is what the catalog says of an instance.
type InstanceStatus uint8

// The states of an instance in the catalog.
const (
	InstanceReady      InstanceStatus = iota // passing its checks
	InstanceCritical                         // failing its checks: never chosen
	InstanceDistrusted                       // gone from the catalog: chosen only when no ready one is left
)

// InstanceSpec is an instance as a catalog describes it.
type InstanceSpec struct {
	ID      string
	Address string // host:port
	Tags    []string
	Meta    map[string]string
	Status  InstanceStatus
}

// Instance is one registered address of a service.
type Instance struct {
	InstanceSpec
	Service string
}

// Outcome says how a request to an instance ended.
type Outcome uint8

// The outcomes of a request.
const (
	OutcomeOK        Outcome = iota // answered, whatever the client's own mistakes
	OutcomeFailed                   // not reached, broken off, timed out, or answered 500, 502 or 504
	OutcomeRefused                  // answered that it is overloaded: 429 or 503
	OutcomeAbandoned                // the client went away: says nothing of the instance
)

// Begin counts a request as in flight.
func (i *Instance) Begin() {}

// End ends what Begin began.
func (i *Instance) End(now time.Time, latency time.Duration, outcome Outcome) {}

// InstanceTable keeps the load and health of instances across catalog updates.
// Safe for concurrent use.
type InstanceTable struct{}

// NewInstanceTable returns an empty table.
func NewInstanceTable() *InstanceTable { return &InstanceTable{} }

// Resolve replaces what is known of a service by specs and returns its
// instances in that order.
func (t *InstanceTable) Resolve(service string, specs []InstanceSpec, now time.Time) []*Instance {
	return nil
}
