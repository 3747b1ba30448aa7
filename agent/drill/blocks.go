package drill

import (
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/policy"
)

// The blocks of a drill file as they are written. Body and Place say where a
// fault in them is.

type drillFile struct {
	Drill drillBlock `hcl:"drill,block"`
}

type drillBlock struct {
	Name       string       `hcl:"name,label"`
	Hypothesis string       `hcl:"hypothesis"`
	Duration   string       `hcl:"duration"`
	Mesh       *meshBlock   `hcl:"mesh,block"`
	Load       *loadBlock   `hcl:"load,block"`
	Observe    *noBlock     `hcl:"observe,block"`
	Ledger     *ledgerBlock `hcl:"ledger,block"`
	Steady     *steadyBlock `hcl:"steady,block"`
	Steps      []stepBlock  `hcl:"step,block"`
	Aborts     []invBlock   `hcl:"abort,block"`
	Invariants []invBlock   `hcl:"invariant,block"`
	Body       hcl.Body     `hcl:",body"`
	Place      hcl.Range    `hcl:",def_range"`
}

// noBlock says something by being there.
type noBlock struct {
	Place hcl.Range `hcl:",def_range"`
}

// ledgerBlock says where the services of a running mesh keep their journals.
type ledgerBlock struct {
	Journals []string  `hcl:"journals"`
	Body     hcl.Body  `hcl:",body"`
	Place    hcl.Range `hcl:",def_range"`
}

// steadyBlock bounds what a mesh must do before anything is broken.
type steadyBlock struct {
	For     string    `hcl:"for,optional"`
	Success *float64  `hcl:"success,optional"` // %
	P99     *float64  `hcl:"p99,optional"`     // ms
	Body    hcl.Body  `hcl:",body"`
	Place   hcl.Range `hcl:",def_range"`
}

type meshBlock struct {
	Regions  int            `hcl:"regions,optional"`
	Agents   int            `hcl:"agents,optional"`
	Policy   string         `hcl:"policy,optional"`
	Latency  string         `hcl:"latency,optional"`  // of the sample services
	Capacity int            `hcl:"capacity,optional"` // of an instance, requests at a time
	Services []serviceBlock `hcl:"service,block"`
	Body     hcl.Body       `hcl:",body"`
	Place    hcl.Range      `hcl:",def_range"`
}

type serviceBlock struct {
	Name      string   `hcl:"name,label"`
	Regions   []string `hcl:"regions,optional"` // empty: everywhere
	Instances int      `hcl:"instances,optional"`
	Capacity  int      `hcl:"capacity,optional"`
}

type loadBlock struct {
	Rate     float64     `hcl:"rate"`
	Devices  int         `hcl:"devices"`
	Tenants  []string    `hcl:"tenants,optional"`
	MQTT     string      `hcl:"mqtt,optional"`     // instead of HTTP/3: on quic or tls
	WarmUp   string      `hcl:"warm_up,optional"`  // load before the time line begins
	Deadline string      `hcl:"deadline,optional"` // that requests tell
	Retry    *retryBlock `hcl:"retry,block"`
	Kinds    []kindBlock `hcl:"kind,block"`
	Body     hcl.Body    `hcl:",body"`
	Place    hcl.Range   `hcl:",def_range"`
}

// retryBlock says that devices send again what was refused for now.
type retryBlock struct {
	Attempts int       `hcl:"attempts"`
	Hasty    bool      `hcl:"hasty,optional"` // whatever Retry-After says
	Pause    string    `hcl:"pause,optional"`
	Body     hcl.Body  `hcl:",body"`
	Place    hcl.Range `hcl:",def_range"`
}

type kindBlock struct {
	Name   string    `hcl:"name,label"`
	Class  string    `hcl:"class"`
	Method string    `hcl:"method,optional"`
	Path   string    `hcl:"path"`
	Body   int       `hcl:"body,optional"`
	Weight int       `hcl:"weight"`
	Place  hcl.Range `hcl:",def_range"`
}

type stepBlock struct {
	Name string `hcl:"name,label"`
	At   string `hcl:"at"`
	For  string `hcl:"for,optional"`

	RegionOutage    []faultBlock `hcl:"region_outage,block"`
	AgentCrash      []faultBlock `hcl:"agent_crash,block"`
	InstanceFailure []faultBlock `hcl:"instance_failure,block"`
	ServiceFault    []faultBlock `hcl:"service_fault,block"`
	Latency         []faultBlock `hcl:"latency,block"`
	Loss            []faultBlock `hcl:"loss,block"`
	Cut             []faultBlock `hcl:"cut,block"`
	CatalogDown     []faultBlock `hcl:"catalog_down,block"`
	ClockJump       []faultBlock `hcl:"clock_jump,block"`
	SlowService     []faultBlock `hcl:"slow_service,block"`
	Capacity        []faultBlock `hcl:"capacity,block"`

	Evacuate []operatorBlock `hcl:"evacuate,block"`
	Pin      []operatorBlock `hcl:"pin,block"`
	Freeze   []operatorBlock `hcl:"freeze,block"`

	Load  []extraBlock `hcl:"load,block"`
	Leave []moveBlock  `hcl:"devices_leave,block"`

	Body  hcl.Body  `hcl:",body"`
	Place hcl.Range `hcl:",def_range"`
}

// faultBlock is any fault: which of these a kind needs, admin.Fault knows.
type faultBlock struct {
	Region  string    `hcl:"region,optional"`
	Agent   string    `hcl:"agent,optional"`
	Service string    `hcl:"service,optional"`
	From    string    `hcl:"from,optional"`
	To      string    `hcl:"to,optional"`
	OneWay  bool      `hcl:"one_way,optional"`
	Delay   string    `hcl:"delay,optional"`
	Jitter  string    `hcl:"jitter,optional"`
	Takes   string    `hcl:"takes,optional"`
	Share   string    `hcl:"share,optional"`
	Over    string    `hcl:"over,optional"`
	Status  int       `hcl:"status,optional"`
	Class   string    `hcl:"class,optional"`
	Devices string    `hcl:"devices,optional"`
	By      string    `hcl:"by,optional"`
	Place   hcl.Range `hcl:",def_range"`

	kind string
}

// faults lists all the faults of a step.
func (b *stepBlock) faults() []faultBlock {
	byKind := []struct {
		kind   string
		blocks []faultBlock
	}{
		{admin.FaultRegionOutage, b.RegionOutage}, {admin.FaultAgentCrash, b.AgentCrash},
		{admin.FaultInstanceFailure, b.InstanceFailure}, {admin.FaultServiceFault, b.ServiceFault},
		{admin.FaultLatency, b.Latency}, {admin.FaultLoss, b.Loss}, {admin.FaultCut, b.Cut},
		{admin.FaultCatalogDown, b.CatalogDown}, {admin.FaultClockJump, b.ClockJump}, {admin.FaultSlowService, b.SlowService}, {admin.FaultCapacity, b.Capacity},
	}
	var all []faultBlock
	for _, k := range byKind {
		for n := range k.blocks {
			k.blocks[n].kind = k.kind
		}
		all = slices.Concat(all, k.blocks)
	}
	return all
}

func (b *faultBlock) fault() admin.Fault {
	return admin.Fault{Kind: b.kind, Region: b.Region, Agent: b.Agent, Service: b.Service,
		From: b.From, To: b.To, OneWay: b.OneWay, Delay: b.Delay, Jitter: b.Jitter, Takes: b.Takes, Share: b.Share, Over: b.Over,
		Status: b.Status, Class: b.Class, Devices: b.Devices, By: b.By}
}

// operatorBlock is an operator's word on a region, released when the step ends.
type operatorBlock struct {
	Region string    `hcl:"region"`
	Reason string    `hcl:"reason,optional"`
	Place  hcl.Range `hcl:",def_range"`

	action string
}

// orders lists all the operator's words of a step.
func (b *stepBlock) orders() []operatorBlock {
	var all []operatorBlock
	for kind, blocks := range map[policy.OverrideKind][]operatorBlock{
		policy.Evacuate: b.Evacuate, policy.Pin: b.Pin, policy.Freeze: b.Freeze,
	} {
		for _, block := range blocks {
			block.action = kind.String()
			all = append(all, block)
		}
	}
	return all
}

// extraBlock is load on top of the usual one.
type extraBlock struct {
	Rate   float64   `hcl:"rate"`
	Kinds  []string  `hcl:"kinds,optional"`
	Tenant string    `hcl:"tenant,optional"`
	Region string    `hcl:"region,optional"` // at whose edges; empty: all
	Place  hcl.Range `hcl:",def_range"`
}

// moveBlock takes a region's devices to other edges; when the step ends they
// return.
type moveBlock struct {
	Region     string    `hcl:"region"`
	Over       string    `hcl:"over,optional"`
	ReturnOver string    `hcl:"return_over,optional"`
	Place      hcl.Range `hcl:",def_range"`
}

// invBlock is an invariant or, with Over in place of From and Until, a condition to
// abort.
type invBlock struct {
	Name    string            `hcl:"name,label"`
	Metric  string            `hcl:"metric"`
	From    string            `hcl:"from,optional"`
	Until   string            `hcl:"until,optional"`
	Over    string            `hcl:"over,optional"`
	Edges   string            `hcl:"edges,optional"`
	Edge    string            `hcl:"edge,optional"` // a region
	Kinds   []string          `hcl:"kinds,optional"`
	Class   string            `hcl:"class,optional"`
	Tenant  string            `hcl:"tenant,optional"`
	By      *float64          `hcl:"by,optional"` // reversals: points that count as one
	Within  string            `hcl:"within,optional"`
	Samples int               `hcl:"samples,optional"`
	Region  string            `hcl:"region,optional"`
	Series  string            `hcl:"series,optional"` // prometheus: its name
	Labels  map[string]string `hcl:"labels,optional"` // that it has, among others
	Take    string            `hcl:"take,optional"`
	AtLeast *float64          `hcl:"at_least,optional"`
	AtMost  *float64          `hcl:"at_most,optional"`
	Body    hcl.Body          `hcl:",body"`
	Place   hcl.Range         `hcl:",def_range"`
}
