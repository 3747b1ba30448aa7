// Package admin is the agent's control surface: what the command line and the
// operator's tools ask, and the server that answers them.
package admin

import (
	"time"

	"github.com/tidegate/tidegate/policy"
)

// The paths of the control API, version 1. Answers are JSON; errors are
// application/problem+json (RFC 9457) with the fields of Problem.
const (
	PathHealth   = "/healthz"      // GET: the process lives
	PathReady    = "/readyz"       // GET: may be given traffic, 503 otherwise
	PathMetrics  = "/metrics"      // GET: Prometheus text
	PathProfiles = "/debug/pprof/" // GET: profiles of the Go runtime
	PathMembers  = "/v1/members"   // GET: MembersAnswer
	PathRegions  = "/v1/regions"   // GET: RegionsAnswer
	PathServices = "/v1/services"  // GET: ServicesAnswer
	PathExplain  = "/v1/explain"   // POST ExplainRequest: ExplainAnswer
	PathPolicy   = "/v1/policy"    // GET: PolicyAnswer; PUT PolicyApply: PolicyApplied
	PathDrain    = "/v1/drain"     // POST DrainRequest: DrainAnswer
	PathOverride = "/v1/override"  // POST OverrideRequest: OverrideAnswer
	PathDevices  = "/v1/devices"   // GET ?after=ID&limit=N: DevicesAnswer; GET .../{id}: DeviceAnswer; DELETE .../{id}: DeviceAnswer, of what was ended
	PathFaults   = "/v1/faults"    // GET: FaultsAnswer; POST Fault: FaultsAnswer; DELETE .../{id}: FaultsAnswer
)

// ProblemType is the media type of an error answer.
const ProblemType = "application/problem+json"

// MembersAnswer lists the agents this agent knows, its own region first.
type MembersAnswer struct {
	Faults  []ActiveFault `json:"faults,omitempty"` // in force here, oldest first
	Self    string        `json:"self"`
	Region  string        `json:"region"`
	Members []Member      `json:"members"`
}

// Member is one agent of the mesh.
type Member struct {
	Name       string  `json:"name"`
	Region     string  `json:"region"`
	Group      string  `json:"group"`
	State      string  `json:"state"` // alive, suspect, left, dead
	Gateway    bool    `json:"gateway"`
	Lead       bool    `json:"lead"`
	Draining   bool    `json:"draining"`
	MeshAddr   string  `json:"mesh_addr"`
	EdgeAddr   string  `json:"edge_addr"`
	GossipAddr string  `json:"gossip_addr,omitempty"`
	Version    string  `json:"version"`
	Tunnel     string  `json:"tunnel,omitempty"` // quic, or tcp where UDP is blocked; empty: none is up
	RTTSeconds float64 `json:"rtt_seconds,omitempty"`
}

// RegionsAnswer lists every region known, the agent's own first.
type RegionsAnswer struct {
	Self    string   `json:"self"`
	Regions []Region `json:"regions"`
}

// Region is what this agent knows of one region, and how fresh that is. Ages
// count from local arrival; nil means never heard.
type Region struct {
	Name             string   `json:"name"`
	Group            string   `json:"group"`
	Local            bool     `json:"local"`
	State            string   `json:"state"` // alive, draining, down, unknown
	Reason           string   `json:"reason,omitempty"`
	Lead             string   `json:"lead,omitempty"`
	Agents           int      `json:"agents"`
	Gateways         []string `json:"gateways,omitempty"`
	RTTSeconds       *float64 `json:"rtt_seconds,omitempty"`
	Term             uint64   `json:"term,omitempty"`
	Sequence         uint64   `json:"sequence,omitempty"`
	DigestAgeSeconds *float64 `json:"digest_age_seconds,omitempty"`
	ReportAgeSeconds *float64 `json:"report_age_seconds,omitempty"`
	PolicyVersion    string   `json:"policy_version,omitempty"`

	Override  *Override   `json:"override,omitempty"`
	Load      *RegionLoad `json:"load,omitempty"`      // over all services; nil: no report yet
	Limit     int         `json:"limit,omitempty"`     // of this agent towards the region, over all services
	Queued    int         `json:"queued,omitempty"`    // the same
	Rejecting float64     `json:"rejecting,omitempty"` // the most of any service's admission here
	Expected  []Inbound   `json:"expected,omitempty"`  // spill to come, over all services; of this agent's region alone
}

// ServicesAnswer lists the services of the policy and the catalog by name.
type ServicesAnswer struct {
	Catalog  Catalog   `json:"catalog"`
	Services []Service `json:"services"`
}

// Catalog says where instances come from and how old that knowledge is.
type Catalog struct {
	Source     string   `json:"source"`                // consul, static, disk
	AgeSeconds *float64 `json:"age_seconds,omitempty"` // since the last good answer
	Stale      bool     `json:"stale"`                 // last-known-good is in use
	Error      string   `json:"error,omitempty"`
}

// Service is one service: its local instances, and what other regions report.
type Service struct {
	Name      string          `json:"name"`
	Ready     int             `json:"ready"` // local instances that may be given traffic
	InFlight  int             `json:"in_flight"`
	Instances []Instance      `json:"instances"`
	Regions   []ServiceRegion `json:"regions,omitempty"`

	Admission   *Admission  `json:"admission,omitempty"` // at this agent, to the local instances
	Load        *RegionLoad `json:"load,omitempty"`      // of this region; nil: no report yet
	Shares      []Share     `json:"shares,omitempty"`    // where this region's demand is to go
	ShareReason string      `json:"share_reason,omitempty"`
	Expected    []Inbound   `json:"expected,omitempty"` // spill that will come to this region
}

// Instance is one registered address of a service in this region.
type Instance struct {
	ID             string            `json:"id"`
	Address        string            `json:"address"`
	Status         string            `json:"status"` // ready, critical, distrusted, ejected
	Tags           []string          `json:"tags,omitempty"`
	Meta           map[string]string `json:"meta,omitempty"`
	Subsets        []string          `json:"subsets,omitempty"`
	InFlight       int               `json:"in_flight"`
	LatencySeconds float64           `json:"latency_seconds,omitempty"` // moving average
}

// ServiceRegion is the report of another region for one service.
type ServiceRegion struct {
	Region     string   `json:"region"`
	Ready      int      `json:"ready"`
	InFlight   int      `json:"in_flight"`
	AgeSeconds *float64 `json:"age_seconds,omitempty"`

	Load      *RegionLoad `json:"load,omitempty"`      // as that region reports it
	Admission *Admission  `json:"admission,omitempty"` // at this agent, of what it sends there
}

// ExplainRequest describes a message that is not sent: what would happen to it?
type ExplainRequest struct {
	Method  string              `json:"method"`
	Host    string              `json:"host,omitempty"`
	Path    string              `json:"path"` // may carry "?query"
	Headers map[string][]string `json:"headers,omitempty"`
	Device  ExplainDevice       `json:"device,omitzero"`
	Payload string              `json:"payload,omitempty"`
	Service string              `json:"service,omitempty"` // that sends a COMMAND
}

// ExplainDevice is the device of an ExplainRequest.
type ExplainDevice struct {
	ID         string            `json:"id,omitempty"`
	Properties map[string]string `json:"properties,omitempty"`
}

// ExplainAnswer is the decision and, step by step, the reasons for it.
type ExplainAnswer struct {
	Agent         string        `json:"agent"`
	PolicyVersion string        `json:"policy_version"`
	Route         string        `json:"route,omitempty"` // empty: no route matches
	Class         string        `json:"class,omitempty"`
	Service       string        `json:"service,omitempty"` // "service" or "service/subset"
	Path          string        `json:"path,omitempty"`    // as the service would see it
	Status        int           `json:"status,omitempty"`  // of a respond route, or of the refusal
	Plan          []ExplainLeg  `json:"plan,omitempty"`
	Region        string        `json:"region,omitempty"`
	Instance      string        `json:"instance,omitempty"` // or the remote agent that would choose one
	Verdict       string        `json:"verdict"`            // one line for people
	Steps         []policy.Step `json:"steps"`

	Admission *ExplainAdmission `json:"admission,omitempty"` // nil when there is nowhere to go
}

// ExplainLeg is one place the message may go, in order of preference.
type ExplainLeg struct {
	Region string  `json:"region"`
	Local  bool    `json:"local"`
	Reason string  `json:"reason"`
	Weight float64 `json:"weight,omitempty"` // share of the messages that try it first; 0: only when others fail

	Override *Override `json:"override,omitempty"` // an operator's word on it
}

// PolicyFile is one source of a policy.
type PolicyFile struct {
	Name   string `json:"name"`
	Source string `json:"source"`
}

// PolicyAnswer is the policy in force and, when a newer one was refused, why.
type PolicyAnswer struct {
	Version string         `json:"version"`
	Source  string         `json:"source"` // file:PATH or consul-kv:KEY
	Since   time.Time      `json:"since"`
	Files   []PolicyFile   `json:"files"`
	Refused *PolicyRefused `json:"refused,omitempty"`
}

// PolicyRefused is a policy that was offered and did not compile.
type PolicyRefused struct {
	At          time.Time    `json:"at"`
	Error       string       `json:"error"`
	Diagnostics []Diagnostic `json:"diagnostics,omitempty"`
}

// PolicyApply is the body of PUT /v1/policy.
type PolicyApply struct {
	Files []PolicyFile `json:"files"`
}

// PolicyApplied says where the new policy was written. A datacenter whose
// Error is set is a straggler: it keeps the old policy.
type PolicyApplied struct {
	Version     string             `json:"version"`
	Datacenters []PolicyDatacenter `json:"datacenters"`
}

// PolicyDatacenter is the outcome of one datacenter's write.
type PolicyDatacenter struct {
	Name  string `json:"name"`
	Error string `json:"error,omitempty"`
}

// DevicesAnswer is a page of the devices that have sessions at one agent, by id.
type DevicesAnswer struct {
	Agent   string          `json:"agent"`
	Total   int             `json:"total"` // at this agent
	Home    int             `json:"home"`  // devices that this agent knows the place of, as their home
	Devices []DeviceSession `json:"devices"`
	Next    string          `json:"next,omitempty"` // "after" of the next page; empty: this is the last
}

// DeviceAnswer is every session of one device, the best place for a command first.
type DeviceAnswer struct {
	Device   string          `json:"device"`
	Sessions []DeviceSession `json:"sessions"`
	Missing  []string        `json:"missing,omitempty"` // regions and agents that gave no answer
}

// DeviceSession is what an agent has of a device.
type DeviceSession struct {
	Device      string            `json:"device"`
	Properties  map[string]string `json:"properties,omitempty"`
	Agent       string            `json:"agent"`
	Region      string            `json:"region"`
	Protocol    string            `json:"protocol"` // mqtt or http
	Client      string            `json:"client"`
	Epoch       uint64            `json:"epoch,omitempty"`
	Connected   bool              `json:"connected"`
	AgeSeconds  float64           `json:"age_seconds"`            // of the connection, or since the last one came
	AwaySeconds float64           `json:"away_seconds,omitempty"` // since it went
	Remote      string            `json:"remote,omitempty"`
	Filters     []string          `json:"filters,omitempty"`
	Waiting     int               `json:"waiting"` // commands that are not acknowledged
}

// DrainRequest starts a drain, or ends one.
type DrainRequest struct {
	Drain bool `json:"drain"`
	// PerSecond is how many devices are told to go elsewhere each second; 0: none is
	// told, new ones stay away.
	PerSecond float64 `json:"per_second,omitempty"`
}

// DrainAnswer is the state after the request.
type DrainAnswer struct {
	Agent    string `json:"agent"`
	Draining bool   `json:"draining"`
	InFlight int    `json:"in_flight"`
	// Connections of devices that are open.
	Connections int `json:"connections"`
}

// Fault is an injected condition, and how long it lasts at most. Kind says
// which of the other fields it needs; the rest stay empty.
type Fault struct {
	ID      string  `json:"id"`                // unique among the faults in force, 1 to 128 characters
	Kind    string  `json:"fault"`             // one of the Fault… constants
	Region  string  `json:"region,omitempty"`  // where: region_outage and all about services; catalog_down
	Agent   string  `json:"agent,omitempty"`   // agent_crash, clock_jump
	Service string  `json:"service,omitempty"` // all about services (capacity: empty is every one)
	From    string  `json:"from,omitempty"`    // latency, loss, cut: region
	To      string  `json:"to,omitempty"`      // latency, loss, cut: region
	OneWay  bool    `json:"one_way,omitempty"` // latency, loss, cut: only what goes from From to To
	Delay   string  `json:"delay,omitempty"`   // latency: added each way; service_fault: before an answer; "0s" to "10s"
	Jitter  string  `json:"jitter,omitempty"`  // latency: up to so much more, "0s" to "10s"
	Takes   string  `json:"takes,omitempty"`   // slow_service: of an answer, "0s" to "1m"
	Share   string  `json:"share,omitempty"`   // capacity: what is left, "0%" to "1000%"; loss: of packets; service_fault: of requests (empty: all)
	Over    string  `json:"over,omitempty"`    // capacity: it goes there evenly in that time, "0s" to "10m"; empty: at once
	Status  int     `json:"status,omitempty"`  // service_fault: answered instead of the service, 400 to 599; 0: the service answers
	Class   string  `json:"class,omitempty"`   // service_fault: only requests of this class
	Devices string  `json:"devices,omitempty"` // service_fault: only this share of devices, "0%" to "100%", always the same ones
	By      string  `json:"by,omitempty"`      // clock_jump: "-24h" to "24h"
	Seconds float64 `json:"seconds"`           // it ends by itself then; more than 0, at most 3600
}

// The kinds of Fault.
const (
	FaultRegionOutage    = "region_outage"    // a region's agents are cut off from everything
	FaultAgentCrash      = "agent_crash"      // an agent ends without a word; it starts again when the fault ends
	FaultInstanceFailure = "instance_failure" // a service's instances in a region answer 500 and fail their checks
	FaultServiceFault    = "service_fault"    // a share of a service's answers in a region is slow, or another
	FaultLatency         = "latency"          // delay between two regions, each way
	FaultLoss            = "loss"             // a share of packets between two regions is lost
	FaultCut             = "cut"              // all packets between two regions are lost
	FaultCatalogDown     = "catalog_down"     // agents of a region cannot reach their Consul
	FaultClockJump       = "clock_jump"       // an agent's time of day is another
	FaultSlowService     = "slow_service"     // a service's instances in a region take that long
	FaultCapacity        = "capacity"         // a region's instances serve so many requests at a time less, or more
	FaultDrill           = "drill"            // no condition: a drill is under way, others keep out
)

// FaultsAnswer lists the faults in force, oldest first.
type FaultsAnswer struct {
	Faults []ActiveFault `json:"faults"`
}

// ActiveFault is a fault in force.
type ActiveFault struct {
	Fault
	RemainingSeconds float64 `json:"remaining_seconds"`
}

// Problem is an error answer, RFC 9457.
type Problem struct {
	Type        string       `json:"type,omitempty"`
	Title       string       `json:"title"`
	Status      int          `json:"status"`
	Detail      string       `json:"detail,omitempty"`
	Diagnostics []Diagnostic `json:"diagnostics,omitempty"`
}

// Diagnostic points at the faulty text of a policy.
type Diagnostic struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column,omitempty"`
	Summary string `json:"summary"`
	Detail  string `json:"detail,omitempty"`
	Text    string `json:"text,omitempty"`
}
