package agent

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/tidegate/tidegate/gossip"
	"github.com/tidegate/tidegate/policy"
)

// instruct tells the admissions what the view knows that they cannot see: how
// many instances there are, this agent's part of the hard limit and of the spill
// that will come, and what far regions refuse.
func (a *Agent) instruct(v *policy.View, agents int) {
	if v.Policy == nil {
		return
	}
	now := time.Now()
	for target, pool := range v.Local {
		ready := pool.Load(now).Ready
		local := a.admissions.local(target)
		local.SetInstances(ready)
		local.SetAgents(agents)
		local.SetHard(hardLimit(v.Policy.Services()[pool.Target.Service], ready, agents))
		local.SetAdaptive(adaptive(v.Policy, pool.Target))
		local.Expect(expectation(v, target, agents))
	}
	a.admissions.each(func(target, region string, far *policy.Admission) {
		if r, pool := v.Regions[region], v.Local[target]; r != nil && pool != nil {
			far.SetFloor(r.Ready[target].Threshold)
			far.SetAdaptive(adaptive(v.Policy, pool.Target))
		}
	})
}

func adaptive(p *policy.Policy, t policy.Target) bool {
	s := p.Services()[t.Service]
	return s == nil || !s.Fixed
}

// hardLimit is one agent's part, rounded up; 0: none.
func hardLimit(s *policy.Service, ready, agents int) int {
	if s == nil || s.InFlight == 0 || ready == 0 {
		return 0
	}
	agents = max(agents, 1)
	return (s.InFlight*ready + agents - 1) / agents
}

// expectation is one agent's part of what will come because of other regions,
// and where most of it comes from. What a dead region was asked for comes to the
// edges here, by the devices themselves; all else comes over the mesh.
func expectation(v *policy.View, target string, agents int) policy.Expectation {
	var x policy.Expectation
	s := v.Shares[target]
	if s == nil {
		return x
	}
	most := 0.0
	for _, in := range s.Expected {
		way := &x.Rates
		if r := v.Regions[in.From]; r != nil && r.State == policy.RegionDown {
			way = &x.Moving
		}
		all := 0.0
		for class, rate := range in.Rates {
			way[class] += rate / float64(max(agents, 1))
			all += rate
		}
		if all > most {
			most, x.Cause = all, in.From
		}
	}
	return x
}

// publish tells the gateways what this agent can serve, what is asked of it, and
// how far away the other regions are.
func (a *Agent) publish(v *policy.View, now time.Time) {
	load := gossip.Load{
		Targets:  make(map[string]gossip.TargetLoad, len(v.Local)),
		RTTs:     nearest(v.Regions, gossip.MaxRTTs),
		Draining: a.draining.Load(),
	}
	for target, pool := range v.Local {
		l, stats := pool.Load(now), a.admissions.local(target).Stats()
		load.Targets[target] = gossip.TargetLoad{
			Ready: l.Ready, InFlight: l.InFlight, Capacity: stats.Capacity, Demand: a.admissions.demand(target),
			Threshold: uint16(stats.Threshold), QueueWait: stats.QueueWait,
		}
	}
	if v.Policy != nil {
		load.PolicyVersion = v.Policy.Version()
	}
	if err := a.gossip.Publish(load); err != nil {
		a.log.Warn("load not published", "error", err)
	}
}

// nearest are the distances to at most n regions.
func nearest(regions map[string]*policy.Region, n int) map[string]time.Duration {
	names := slices.Collect(maps.Keys(regions))
	names = slices.DeleteFunc(names, func(name string) bool { return regions[name].RTT <= 0 })
	slices.SortFunc(names, func(x, y string) int {
		return cmp.Or(cmp.Compare(regions[x].RTT, regions[y].RTT), cmp.Compare(x, y))
	})
	near := make(map[string]time.Duration, min(n, len(names)))
	for _, name := range names[:min(n, len(names))] {
		near[name] = regions[name].RTT
	}
	return near
}
