package policy

// FailoverMode says which other regions may serve when the local one cannot.
type FailoverMode uint8

// The modes of failover; the zero value is the default.
const (
	FailoverNearest FailoverMode = iota // regions of the group by round-trip time
	FailoverNone                        // the local region only
	FailoverList                        // Failover.Regions, in that order
)

// String returns the mode as written in a policy.
func (m FailoverMode) String() string {
	switch m {
	case FailoverNearest:
		return "nearest"
	case FailoverNone:
		return "none"
	}
	return "list"
}

// Failover is what a service says about other regions.
type Failover struct {
	Mode        FailoverMode
	Regions     []string // FailoverList only
	BeyondGroup bool     // FailoverNearest only: after the group, the others by round-trip time
}

// Plan says which regions may serve t, best first. allowed, when not empty,
// names the only regions that may, the local one included.
func (v *View) Plan(t Target, f Failover, allowed []string, tr *Trace) Plan {
	return Plan{Target: t}
}
