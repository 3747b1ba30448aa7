package gossip

import "time"

// State is an immutable snapshot of what the mesh knows. Nothing reachable
// from it may be changed.
type State struct {
	Members   []Member // live members of the LAN pool, this agent included, by name
	Gateways  []string // this region's first k live agents in rendezvous order
	Lead      string   // the first of Gateways
	IsGateway bool     // this agent holds the role; follows Gateways with hysteresis
	IsLead    bool     // this agent speaks for the region now
	Term      uint64   // of the region's newest digest

	Regions  map[string]RegionInfo // every region heard of, the own one included
	Down     []string              // union of the verdicts in force, sorted
	Verdicts []Claim               // verdicts in force of this region's gateways, by name
	Opinions []Claim               // what fellow gateways hold silent; only gateways are told

	Overrides []Override // operators' words in force, by region
}

// Member is a live agent of the LAN pool.
type Member struct {
	Meta
	Addr string // gossip address
}

// RegionInfo is what is known of one region.
type RegionInfo struct {
	Region        string
	Digest        *Digest // nil until heard
	Arrived       time.Time
	Vector        *Vector // nil until heard
	VectorArrived time.Time
	Peers         []Peer // its gateways in the WAN pool, live ones first, then by name; empty unless this agent is a gateway
}

// Peer is a gateway in the WAN pool. Dead ones stay listed for Timing.Remember
// so that probes notice a region's return.
type Peer struct {
	Meta
	Addr  string // WAN gossip address
	Alive bool
}

// Claim is a gateway's word about regions: a verdict (down) or an opinion
// (silent).
type Claim struct {
	From    string
	Regions []string // sorted
	Arrived time.Time
}
