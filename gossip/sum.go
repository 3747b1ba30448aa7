package gossip

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

func isService(target string) bool { return !strings.Contains(target, "/") }

// sumRegion adds up the fresh loads of the region: the most ready instances
// any agent sees, for all watch one catalog, and the sum of what they have in
// flight. An agent whose loads stopped arriving is left out.
func (m *Mesh) sumRegion(now time.Time) *Vector {
	v := &Vector{Region: m.cfg.Region, Group: m.cfg.Group, Targets: make(map[string]TargetLoad), RTTs: make(map[string]time.Duration)}
	policies := make(map[string]int)
	for _, member := range m.book.members {
		load, fresh := m.freshLoad(member.Name, now)
		if !fresh {
			continue
		}
		info := m.agentInfo(member.Meta)
		if load != nil {
			info.Draining = info.Draining || load.Draining
			addTargets(v.Targets, load.Targets)
			addRTTs(v.RTTs, load.RTTs)
			policies[load.PolicyVersion]++
		}
		if len(v.Agents) < MaxAgents {
			v.Agents = append(v.Agents, info)
		}
	}
	v.PolicyVersion = mostCommon(policies)
	v.Draining = len(v.Agents) > 0 && !slices.ContainsFunc(v.Agents, func(a AgentInfo) bool { return !a.Draining })
	return v
}

// freshLoad returns an agent's load; nil when it did not report yet, fresh
// false when it stopped.
func (m *Mesh) freshLoad(agent string, now time.Time) (load *Load, fresh bool) {
	l := m.book.loads[agent]
	if l == nil || !l.complete {
		return nil, true
	}
	return &l.load, now.Sub(l.arrived) <= m.cfg.Timing.LoadFresh
}

func (m *Mesh) agentInfo(meta Meta) AgentInfo {
	info := AgentInfo{Name: meta.Name, MeshAddr: meta.MeshAddr, EdgeAddr: meta.EdgeAddr, Version: meta.Version, Draining: meta.Draining}
	if peer := m.book.wan[meta.Name]; peer != nil && peer.alive {
		info.WANAddr = peer.addr()
	}
	return info
}

func addTargets(sum, targets map[string]TargetLoad) {
	for name, t := range targets {
		s, known := sum[name]
		if !known && len(sum) >= MaxTargets {
			continue
		}
		s.Ready = max(s.Ready, t.Ready)
		s.InFlight = min(s.InFlight+max(t.InFlight, 0), maxCounter)
		s.Capacity = min(s.Capacity+t.Capacity, maxRate)
		for class, rate := range t.Demand {
			s.Demand[class] = min(s.Demand[class]+rate, maxRate)
		}
		s.Threshold = max(s.Threshold, t.Threshold)
		s.QueueWait = max(s.QueueWait, t.QueueWait)
		sum[name] = s
	}
}

func addRTTs(shortest, rtts map[string]time.Duration) {
	for region, rtt := range rtts {
		if known, ok := shortest[region]; rtt > 0 && (!ok || rtt < known) && (ok || len(shortest) < MaxRTTs) {
			shortest[region] = rtt
		}
	}
}

// mostCommon breaks ties by the version's text, so that it does not flap.
func mostCommon(policies map[string]int) string {
	versions := slices.Collect(maps.Keys(policies))
	if len(versions) == 0 {
		return ""
	}
	return slices.MaxFunc(versions, func(a, b string) int {
		return cmp.Or(cmp.Compare(policies[a], policies[b]), cmp.Compare(a, b))
	})
}
