package agent

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/catalog"
	"github.com/tidegate/tidegate/gossip"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

// Members lists the agents of this region, then those that other regions report.
func (a *Agent) Members() admin.MembersAnswer {
	state := a.gossip.State()
	ans := admin.MembersAnswer{Self: a.cfg.Name, Region: a.cfg.Region, Faults: a.faultsInForce()}
	for _, m := range state.Members {
		ans.Members = append(ans.Members, admin.Member{
			Name: m.Name, Region: m.Region, Group: m.Group, State: "alive",
			Gateway: slices.Contains(state.Gateways, m.Name), Lead: state.Lead == m.Name,
			Draining: m.Draining, MeshAddr: m.MeshAddr, EdgeAddr: m.EdgeAddr, GossipAddr: m.Addr, Version: m.Version,
		})
	}
	for _, name := range slices.Sorted(maps.Keys(state.Regions)) {
		if name != a.cfg.Region {
			ans.Members = append(ans.Members, a.remoteMembers(state, state.Regions[name])...)
		}
	}
	return ans
}

func (a *Agent) remoteMembers(state *gossip.State, info gossip.RegionInfo) []admin.Member {
	var all []admin.Member
	if info.Vector == nil {
		return nil
	}
	reported := "alive"
	if slices.Contains(state.Down, info.Region) {
		reported = "dead"
	}
	for _, remote := range info.Vector.Agents {
		m := admin.Member{
			Name: remote.Name, Region: info.Region, Group: info.Vector.Group, State: reported, Gateway: remote.WANAddr != "",
			Draining: remote.Draining, MeshAddr: remote.MeshAddr, EdgeAddr: remote.EdgeAddr, GossipAddr: remote.WANAddr, Version: remote.Version,
		}
		peer := transport.Peer{TrustDomain: a.self.TrustDomain, Region: info.Region, Agent: remote.Name}
		if t := a.mesh.Tunnel(peer); t != nil {
			m.Tunnel, m.RTTSeconds = t.Protocol(), t.RTT().Seconds()
		}
		all = append(all, m)
	}
	return all
}

// Regions lists every region known, this one first.
func (a *Agent) Regions() admin.RegionsAnswer {
	state, v := a.gossip.State(), a.view.Load()
	own := admin.Region{Name: v.Region, Group: v.Group, Local: true, State: policy.RegionAlive.String(),
		Lead: state.Lead, Agents: len(state.Members), Gateways: state.Gateways, Term: state.Term}
	if v.Draining {
		own.State = policy.RegionDraining.String()
	}
	if v.Policy != nil {
		own.PolicyVersion = v.Policy.Version()
	}
	own.Override = overrideOf(v, v.Region)
	if !v.HomeReported.IsZero() {
		own.Load = sumLoads(v.Home)
	}
	own.Expected = sumExpected(v)
	admits := a.admissions.stats()
	admits.sumTo(&own, "")
	a.addFreshness(&own, state.Regions[v.Region])
	ans := admin.RegionsAnswer{Self: a.cfg.Name, Regions: []admin.Region{own}}
	for _, name := range slices.Sorted(maps.Keys(v.Regions)) {
		remote := a.remoteRegion(v.Regions[name], state)
		remote.Override = overrideOf(v, name)
		admits.sumTo(&remote, name)
		ans.Regions = append(ans.Regions, remote)
	}
	return ans
}

func (a *Agent) remoteRegion(r *policy.Region, state *gossip.State) admin.Region {
	out := admin.Region{Name: r.Name, Group: r.Group, State: r.State.String(), Agents: len(r.Agents), PolicyVersion: r.PolicyVersion}
	if r.RTT > 0 {
		rtt := r.RTT.Seconds()
		out.RTTSeconds = &rtt
	}
	for _, claim := range state.Verdicts {
		if slices.Contains(claim.Regions, r.Name) {
			out.Reason = "held down by gateway " + claim.From
		}
	}
	info := state.Regions[r.Name]
	if info.Vector != nil {
		out.Load = sumLoads(r.Ready)
	}
	for _, p := range info.Peers {
		out.Gateways = append(out.Gateways, p.Name)
	}
	a.addFreshness(&out, info)
	return out
}

func (a *Agent) addFreshness(out *admin.Region, info gossip.RegionInfo) {
	if info.Digest != nil {
		out.Term, out.Sequence = info.Digest.Version.Term, info.Digest.Version.Seq
		out.DigestAgeSeconds = age(info.Arrived)
	}
	if info.Vector != nil {
		out.ReportAgeSeconds = age(info.VectorArrived)
	}
}

func age(t time.Time) *float64 {
	if t.IsZero() {
		return nil
	}
	s := time.Since(t).Seconds()
	return &s
}

// Services lists the services of the policy: instances here, reports of others.
func (a *Agent) Services() admin.ServicesAnswer {
	v, snapshot := a.view.Load(), a.catalog.Snapshot()
	ans := admin.ServicesAnswer{Catalog: admin.Catalog{
		Source: string(snapshot.Source), AgeSeconds: age(snapshot.Updated), Stale: snapshot.Stale}}
	if snapshot.Err != nil {
		ans.Catalog.Error = snapshot.Err.Error()
	}
	if v.Policy == nil {
		return ans
	}
	admits := a.admissions.stats()
	for _, name := range slices.Sorted(maps.Keys(v.Policy.Services())) {
		service := serviceStatus(v, v.Policy.Services()[name], snapshot)
		admits.addTo(&service)
		ans.Services = append(ans.Services, service)
	}
	return ans
}

func serviceStatus(v *policy.View, s *policy.Service, snapshot *catalog.Snapshot) admin.Service {
	now := time.Now()
	out := admin.Service{Name: s.Name}
	if pool := v.Local[s.Name]; pool != nil {
		load := pool.Load(now)
		out.Ready, out.InFlight = load.Ready, load.InFlight
		for _, inst := range pool.Instances {
			out.Instances = append(out.Instances, instanceStatus(inst, s, now))
		}
	}
	if load, ok := v.Home[s.Name]; ok {
		out.Load = regionLoad(load)
	}
	addShares(&out, v.Shares[s.Name])
	for _, name := range slices.Sorted(maps.Keys(v.Regions)) {
		r := v.Regions[name]
		if load, ok := r.Ready[s.Name]; ok {
			out.Regions = append(out.Regions, admin.ServiceRegion{
				Region: name, Ready: load.Ready, InFlight: load.InFlight, AgeSeconds: age(r.Reported), Load: regionLoad(load)})
		}
	}
	return out
}

func instanceStatus(inst *policy.Instance, s *policy.Service, now time.Time) admin.Instance {
	out := admin.Instance{
		ID: inst.ID, Address: inst.Address, Tags: inst.Tags, Meta: inst.Meta,
		Status: inst.Status.String(), InFlight: inst.InFlight(), LatencySeconds: inst.Latency().Seconds(),
	}
	if inst.Status == policy.InstanceReady && inst.Ejected(now) {
		out.Status = "ejected"
	}
	for _, subset := range s.Subsets {
		if subset.Matches(inst.Tags, inst.Meta) {
			out.Subsets = append(out.Subsets, subset.Name)
		}
	}
	slices.SortFunc(out.Subsets, cmp.Compare[string])
	return out
}

// Policy returns the policy in force and the newest refusal.
func (a *Agent) Policy() admin.PolicyAnswer { return a.policies.answer() }

// ApplyPolicy writes a policy to every datacenter.
func (a *Agent) ApplyPolicy(ctx context.Context, in admin.PolicyApply) (admin.PolicyApplied, error) {
	return a.policies.apply(ctx, in)
}

// Missing says what keeps this agent from using n other regions at once;
// empty when it can.
func (a *Agent) Missing(n int) string {
	v := a.view.Load()
	usable := 0
	for name, r := range v.Regions {
		if r.State == policy.RegionAlive && a.pickTunnel(name, "") != nil {
			usable++
		}
	}
	if usable < n {
		return fmt.Sprintf("reaches %d of %d other regions", usable, n)
	}
	return ""
}

// ReadyInstances counts, for each service of the policy, the local instances
// that may be given traffic.
func (a *Agent) ReadyInstances() map[string]int {
	v := a.view.Load()
	ready := map[string]int{}
	if v.Policy == nil {
		return ready
	}
	now := time.Now()
	for name := range v.Policy.Services() {
		if pool := v.Local[name]; pool != nil {
			ready[name] = pool.Load(now).Ready
		}
	}
	return ready
}
