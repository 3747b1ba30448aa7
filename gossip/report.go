package gossip

import (
	"cmp"
	"fmt"
	"time"
)

// Version orders what one region says: the term of its lead, then a sequence
// within the term. A new lead takes the highest term seen plus one.
type Version struct {
	Term, Seq uint64
}

// Compare is negative when v is older than o, positive when newer.
func (v Version) Compare(o Version) int {
	return cmp.Or(cmp.Compare(v.Term, o.Term), cmp.Compare(v.Seq, o.Seq))
}

// String returns "term.seq".
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Term, v.Seq) }

// TargetLoad is what is said of one target, "service" or "service/subset".
type TargetLoad struct {
	Ready     int           // instances that may be given traffic
	InFlight  int           // requests being served
	Capacity  float64       // req/s that can be served; 0: not known
	Demand    [4]float64    // req/s by class from own devices and services, before any decision
	Threshold uint16        // ranks below are refused
	QueueWait time.Duration // the longest wait of late
}

// Load is one agent's own report. Targets must not be changed after Publish.
type Load struct {
	Targets       map[string]TargetLoad    // ≤ MaxTargets
	RTTs          map[string]time.Duration // to other regions; ≤ MaxRTTs, the nearest
	Draining      bool
	PolicyVersion string // ≤ MaxPolicyVersion bytes
}

// Digest is a region's summary: ≤ MaxDigest bytes as a signed frame.
type Digest struct {
	Region, Group string
	Version       Version
	Draining      bool // every agent of the region drains
	PolicyVersion string
	Agents        int // live agents
	Ready         int // sum over services
	InFlight      int // sum over services

	format uint64 // the oldest that an agent of the region speaks
}

// Vector is a region's full report.
type Vector struct {
	Region, Group string
	Version       Version
	Draining      bool
	PolicyVersion string
	Agents        []AgentInfo // by name
	// Ready, Threshold and QueueWait are the most that any agent says; InFlight,
	// Capacity and Demand are sums.
	Targets map[string]TargetLoad
	RTTs    map[string]time.Duration // to other regions: the shortest that any agent measures
}

// AgentInfo is one agent of a region as its lead sees it.
type AgentInfo struct {
	Name     string
	MeshAddr string
	EdgeAddr string
	WANAddr  string // WAN gossip address; empty unless it is a gateway
	Version  string // of the program
	Draining bool
}
