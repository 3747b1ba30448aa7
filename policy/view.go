package policy

import (
	"sync/atomic"
	"time"
)

// View is the immutable snapshot of everything a decision needs: the policy,
// the local pools of instances, and what is known of the other regions. The
// agent builds a new one whenever an input changes and swaps it atomically;
// a request in flight keeps the one it started with. Use it by pointer; nothing
// in it may be changed once it is in use.
type View struct {
	Agent    string
	Region   string
	Group    string
	Built    time.Time
	Policy   *Policy
	Draining bool               // the whole local region drains
	Local    map[string]*Pool   // by Target.String
	Regions  map[string]*Region // the other regions, by name

	Home         map[string]Load     // the own region's totals as its lead reports them, by Target.String
	HomeReported time.Time           // local arrival of those; zero: none yet
	Overrides    map[string]Override // operators' words in force, by region
	Shares       map[string]*Shares  // by service; Spill.Update sets it

	plans planCache
	order atomic.Pointer[[]*Region] // of Regions by distance, once asked for
}

// RegionState says whether a region may be given traffic.
type RegionState uint8

// The states of a region, worst last.
const (
	RegionUnknown  RegionState = iota // a report is there, liveness not proven yet
	RegionAlive                       // probed and answering
	RegionDraining                    // answers, asks for no new traffic
	RegionDown                        // silent, confirmed by a second gateway
)

// String returns the state as shown to people.
func (s RegionState) String() string {
	return [...]string{"unknown", "alive", "draining", "down"}[s&3]
}

// Region is what this agent knows of another region.
type Region struct {
	Name          string
	Group         string
	State         RegionState
	RTT           time.Duration            // from here; 0: not measured
	RTTs          map[string]time.Duration // its own distances to other regions, as it reports them
	Reported      time.Time                // local arrival of the newest service vector
	PolicyVersion string
	Ready         map[string]Load // by Target.String
	Agents        []Agent         // reachable over the mesh
}

// Agent is a peer of another region that a tunnel may lead to.
type Agent struct {
	Name     string
	MeshAddr string
	Draining bool
}

// Load is what a region reports for one target, summed over its agents. Numbers
// that cannot be (NaN, negative, huge) are read as zero or bounded by those who
// use them.
type Load struct {
	Ready     int           // instances that may be given traffic
	InFlight  int           // requests being served
	Capacity  float64       // req/s that the region can serve; 0: not known
	Demand    [4]float64    // req/s by class from its own devices, before any decision
	Threshold Rank          // the highest rank that an agent of it refuses below
	QueueWait time.Duration // the longest of its agents
}

// Plan says where a request may go, in order. Legs is empty when nothing can
// serve the target.
type Plan struct {
	Target Target
	Legs   []Leg
}

// Leg is one (service, region) pair of a plan.
type Leg struct {
	Region string // View.Region for the local one
	Local  bool
	Weight float64 // share of the requests that go there first, 0 to 1
	// LastResort: it could still serve although it should not. Never for load:
	// only when no leg that is none can be reached. Its weight is 0.
	LastResort bool
	Reason     string
}
