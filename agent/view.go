package agent

import (
	"time"

	"github.com/tidegate/tidegate/agent/catalog"
	"github.com/tidegate/tidegate/gossip"
	"github.com/tidegate/tidegate/policy"
)

// inputs are what a view is made of: the policy in force, the catalog of this
// region, what gossip knows of the others, and how far away they are.
type inputs struct {
	policy    *policy.Policy
	catalog   *catalog.Snapshot
	gossip    *gossip.State
	rtt       map[string]time.Duration // by region
	instances *policy.InstanceTable
	self      gossip.Meta
	unready   func(service string) bool // by a fault
}

// join is the one place where discovery, liveness and policy meet: it makes
// the view that requests decide on.
func join(in inputs, now time.Time) *policy.View {
	v := &policy.View{
		Agent:    in.self.Name,
		Region:   in.self.Region,
		Group:    in.self.Group,
		Built:    now,
		Policy:   in.policy,
		Draining: allDrain(in.gossip.Members),
		Local:    map[string]*policy.Pool{},
		Regions:  map[string]*policy.Region{},

		Overrides: overridesOf(in.gossip.Overrides),
	}
	if in.policy != nil {
		joinPools(v, in, now)
	}
	for name, info := range in.gossip.Regions {
		if name != v.Region {
			v.Regions[name] = regionOf(info, in)
		} else if info.Vector != nil {
			v.Home, v.HomeReported = loadsOf(info.Vector.Targets), info.VectorArrived
		}
	}
	return v
}

// loadsOf bounds the threshold: a newer agent may know more ranks.
func loadsOf(targets map[string]gossip.TargetLoad) map[string]policy.Load {
	loads := make(map[string]policy.Load, len(targets))
	for target, t := range targets {
		loads[target] = policy.Load{
			Ready: t.Ready, InFlight: t.InFlight, Capacity: t.Capacity, Demand: t.Demand,
			Threshold: min(policy.Rank(t.Threshold), policy.MaxRank), QueueWait: t.QueueWait,
		}
	}
	return loads
}

func allDrain(members []gossip.Member) bool {
	for _, m := range members {
		if !m.Draining {
			return false
		}
	}
	return len(members) > 0
}

// joinPools makes a pool for every service and subset of the policy.
func joinPools(v *policy.View, in inputs, now time.Time) {
	for name, service := range in.policy.Services() {
		all := in.instances.Resolve(name, specsOf(in.catalog.Services[name], in.unready(name)), now)
		whole := policy.Target{Service: name}
		v.Local[whole.String()] = policy.NewPool(whole, all)
		for _, subset := range service.Subsets {
			t := policy.Target{Service: name, Subset: subset.Name}
			v.Local[t.String()] = policy.NewPool(t, matching(all, subset))
		}
	}
}

func specsOf(found []catalog.Instance, unready bool) []policy.InstanceSpec {
	specs := make([]policy.InstanceSpec, len(found))
	for i, f := range found {
		specs[i] = policy.InstanceSpec{ID: f.ID, Address: f.Address, Tags: f.Tags, Meta: f.Meta, Status: statusOf(f.Status)}
		if unready {
			specs[i].Status = policy.InstanceCritical
		}
	}
	return specs
}

func statusOf(s catalog.Status) policy.InstanceStatus {
	switch s {
	case catalog.Ready:
		return policy.InstanceReady
	case catalog.Distrusted:
		return policy.InstanceDistrusted
	}
	return policy.InstanceCritical
}

func matching(all []*policy.Instance, subset *policy.Subset) []*policy.Instance {
	var some []*policy.Instance
	for _, inst := range all {
		if subset.Matches(inst.Tags, inst.Meta) {
			some = append(some, inst)
		}
	}
	return some
}

func regionOf(info gossip.RegionInfo, in inputs) *policy.Region {
	r := &policy.Region{
		Name:     info.Region,
		Reported: info.VectorArrived,
		RTT:      in.rtt[info.Region],
		State:    regionState(info, in.gossip.Down),
	}
	if d := info.Digest; d != nil {
		r.Group, r.PolicyVersion = d.Group, d.PolicyVersion
	}
	if v := info.Vector; v != nil {
		r.Group, r.PolicyVersion = v.Group, v.PolicyVersion
		r.Ready, r.RTTs = loadsOf(v.Targets), v.RTTs
		for _, a := range v.Agents {
			r.Agents = append(r.Agents, policy.Agent{Name: a.Name, MeshAddr: a.MeshAddr, Draining: a.Draining})
		}
	}
	return r
}

func regionState(info gossip.RegionInfo, down []string) policy.RegionState {
	for _, name := range down {
		if name == info.Region {
			return policy.RegionDown
		}
	}
	switch {
	case info.Vector == nil:
		return policy.RegionUnknown
	case info.Vector.Draining, info.Digest != nil && info.Digest.Draining:
		return policy.RegionDraining
	}
	return policy.RegionAlive
}
