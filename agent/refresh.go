package agent

import (
	"context"
	"time"

	"github.com/tidegate/tidegate/gossip"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

const (
	refreshEvery     = 250 * time.Millisecond // load goes out and ages are looked at
	refreshGap       = 10 * time.Millisecond  // changes that come sooner are taken together
	publishEvery     = 100 * time.Millisecond // at most; gossip sends what is newest every 250 ms
	tunnelsPerRegion = 3                      // each agent keeps tunnels to that many of another region
)

// refreshLoop rebuilds the view whenever an input changes, at least every
// refreshEvery and at most every refreshGap.
func (a *Agent) refreshLoop(ctx context.Context) {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	gap := time.NewTimer(refreshGap)
	defer gap.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.gossip.Changed():
		case <-a.catalog.Changed():
		case <-a.policies.changed:
		case <-tick.C:
		}
		a.refresh(time.Now())
		gap.Reset(refreshGap)
		select {
		case <-ctx.Done():
			return
		case <-gap.C:
		}
	}
}

// refresh swaps the view in, then lets the mesh and the gossip follow it.
func (a *Agent) refresh(now time.Time) {
	state := a.gossip.State()
	before := a.view.Load()
	view := join(inputs{
		policy:    a.policies.current(),
		catalog:   a.catalog.Snapshot(),
		gossip:    state,
		rtt:       a.rtt.update(a.measureRTT(state)),
		instances: a.instances,
		self:      a.meta(),
		unready:   a.conditions.Unready,
	}, now)
	a.spill.Update(view, now)
	a.view.Store(view)
	a.metrics.views.Inc()
	a.instruct(view, len(state.Members))
	a.abandonLost(before, view)
	a.mesh.Keep(a.tunnelEndpoints(view, state.Members))
	if now.Sub(a.published) >= publishEvery {
		a.published = now
		a.publish(view, now)
	}
	a.notePlans(view)
	if len(a.conditions.Network.Rules()) > 0 {
		a.learnPlaces()
	}
	if before.Policy != view.Policy && view.Policy != nil {
		a.followServices(view.Policy)
		a.edge.Expel()
	}
}

func (a *Agent) followServices(p *policy.Policy) {
	names := make([]string, 0, len(p.Services()))
	for name := range p.Services() {
		names = append(names, name)
	}
	a.catalog.Watch(names)
}

// abandonLost ends what is in flight to a region that has just been found
// down, so that it can go elsewhere at once.
func (a *Agent) abandonLost(before, after *policy.View) {
	for name, r := range after.Regions {
		was := before.Regions[name]
		if r.State == policy.RegionDown && (was == nil || was.State != policy.RegionDown) {
			a.log.Warn("region down: its traffic goes elsewhere", "remote", name)
			a.mesh.Abandon(name)
		}
		if was != nil && was.State == policy.RegionDown && r.State != policy.RegionDown {
			a.log.Info("region is back", "remote", name, "state", r.State.String())
		}
	}
}

// tunnelEndpoints is all fellows, to find devices by, and a deterministic share of
// each other region's agents, so that tunnels spread evenly and nobody dials
// everybody.
func (a *Agent) tunnelEndpoints(v *policy.View, fellows []gossip.Member) []transport.Endpoint {
	var all []transport.Endpoint
	for _, m := range fellows {
		all = append(all, a.endpoint(v.Region, m.Name, m.MeshAddr))
	}
	for name, region := range v.Regions {
		for _, peer := range policy.TunnelPeers(v.Agent, region.Agents, tunnelsPerRegion) {
			all = append(all, a.endpoint(name, peer.Name, peer.MeshAddr))
		}
	}
	return all
}

func (a *Agent) endpoint(region, agent, addr string) transport.Endpoint {
	peer := transport.Peer{TrustDomain: a.self.TrustDomain, Region: region, Agent: agent}
	return transport.Endpoint{Peer: peer, Addr: addr}
}

// notePlans counts how often the first region of a service's plan changes:
// what a person would call a flap when it happens twice. What an agent learns
// while it is young is no change.
func (a *Agent) notePlans(v *policy.View) {
	if v.Policy == nil {
		return
	}
	for name, service := range v.Policy.Services() {
		t := policy.Target{Service: name}
		first := "none"
		if legs := v.Plan(t, service.Failover, nil, nil).Legs; len(legs) > 0 {
			first = legs[0].Region
		}
		was, known := a.firstRegion[name]
		a.firstRegion[name] = first
		changes := a.metrics.plans.WithLabelValues(name) // a service whose plan stays has its count, too
		if known && was != first && !a.young(v.Built) {
			changes.Inc()
			a.log.Info("plan changed", "service", name, "from", was, "to", first)
		}
	}
}

// PlanChanges says how often each service's first region has changed since the
// agent started.
func (a *Agent) PlanChanges() map[string]float64 {
	counts := map[string]float64{}
	families, err := a.reg.Gather()
	if err != nil {
		a.log.Warn("metrics not all gathered", "error", err)
	}
	for _, f := range families {
		if f.GetName() != planChangesName {
			continue
		}
		for _, m := range f.GetMetric() {
			counts[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
		}
	}
	return counts
}
