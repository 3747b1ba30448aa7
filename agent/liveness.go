package agent

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/tidegate/tidegate/gossip"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

// probesPerRegion is how many gateways of a region are probed at a time.
const probesPerRegion = 2

// probes wires the mesh's prober to the liveness decision: a gateway hears the
// other regions, decides, and tells its own.
func (a *Agent) probes() transport.Probes {
	return transport.Probes{
		Answer: func(transport.Peer) []byte { return a.probeStatus() },
		Vector: func() []byte { _, frame := a.gossip.Vector(); return frame },
		Heard: func(p transport.Peer, now time.Time) {
			a.liveness.Heard(p.Region, p.Agent, now)
		},
		RTT: func(p transport.Peer, d time.Duration, now time.Time) {
			a.liveness.RTT(p.Region, p.Agent, d, now)
		},
		WantVector: a.wantVector,
		VectorPulled: func(p transport.Peer, frame []byte) {
			if err := a.gossip.Offer(frame); err != nil {
				a.log.Debug("vector not taken", "from", p.String(), "error", err)
			}
		},
		Tick: a.livenessTick,
	}
}

// probeStatus announces the newest vector: its term and sequence, big-endian.
func (a *Agent) probeStatus() []byte {
	v, frame := a.gossip.Vector()
	if frame == nil {
		return nil
	}
	status := binary.BigEndian.AppendUint64(nil, v.Term)
	return binary.BigEndian.AppendUint64(status, v.Seq)
}

func (a *Agent) wantVector(p transport.Peer, status []byte) bool {
	if len(status) < 16 {
		return false
	}
	offered := gossip.Version{Term: binary.BigEndian.Uint64(status), Seq: binary.BigEndian.Uint64(status[8:])}
	info := a.gossip.State().Regions[p.Region]
	return info.Vector == nil || offered.Compare(info.Vector.Version) > 0
}

// livenessTick runs every 50 ms on the prober's loop.
func (a *Agent) livenessTick(now time.Time) {
	state := a.gossip.State()
	targets, watched := a.probeTargets(state)
	a.watch(state, watched, now)
	if !slices.Equal(targets, a.probed) {
		a.probed = targets
		a.mesh.Probe(targets)
	}
	a.hearFellows(state)
	for _, c := range a.liveness.Tick(now, fellows(state, a.self.Agent)) {
		a.log.Info("liveness verdict", "remote", c.Region, "state", c.State.String(), "reason", c.Reason)
	}
	if state.IsGateway {
		a.gossip.Declare(a.liveness.Down())
		a.gossip.Opine(a.silent(state))
	}
}

func (a *Agent) watch(state *gossip.State, watched map[string][]string, now time.Time) {
	for region := range a.watched {
		if _, still := watched[region]; !still {
			a.liveness.Watch(region, nil, now)
		}
	}
	for region := range a.known {
		if _, still := state.Regions[region]; !still { // it left the mesh for good
			a.liveness.Forget(region)
			delete(a.known, region)
		}
	}
	for region := range watched {
		a.known[region] = true
	}
	for region, peers := range watched {
		a.liveness.Watch(region, peers, now)
	}
	a.watched = watched
}

// probeTargets are two gateways of each other region. Those that gossip holds
// dead stay candidates, last: that is how a region's return is noticed.
func (a *Agent) probeTargets(state *gossip.State) ([]transport.Endpoint, map[string][]string) {
	var targets []transport.Endpoint
	watched := map[string][]string{}
	if !state.IsGateway {
		return nil, watched
	}
	for name, info := range state.Regions {
		if name == a.self.Region {
			continue
		}
		addrs := map[string]string{}
		for _, gw := range policy.ProbeTargets(a.self.Agent, candidates(info, addrs), probesPerRegion) {
			targets = append(targets, a.endpoint(name, gw, addrs[gw]))
			watched[name] = append(watched[name], gw)
		}
	}
	slices.SortFunc(targets, func(x, y transport.Endpoint) int {
		return strings.Compare(x.Peer.String(), y.Peer.String())
	})
	return targets, watched
}

// candidates lists live gateways when there are any, else the remembered ones.
func candidates(info gossip.RegionInfo, addrs map[string]string) []string {
	var live, dead []string
	for _, p := range info.Peers {
		addrs[p.Name] = p.MeshAddr
		if p.Alive {
			live = append(live, p.Name)
		} else {
			dead = append(dead, p.Name)
		}
	}
	if len(live) > 0 {
		return live
	}
	return dead
}

func (a *Agent) hearFellows(state *gossip.State) {
	for _, claim := range state.Opinions {
		for region := range a.watched {
			a.liveness.Opinion(claim.From, region, slices.Contains(claim.Regions, region), claim.Arrived)
		}
	}
}

// fellows are the other gateways of this region.
func fellows(state *gossip.State, self string) []string {
	var others []string
	for _, name := range state.Gateways {
		if name != self {
			others = append(others, name)
		}
	}
	return others
}

func (a *Agent) silent(state *gossip.State) []string {
	var silent []string
	for region := range state.Regions {
		if region != a.self.Region && a.liveness.Silent(region) {
			silent = append(silent, region)
		}
	}
	slices.Sort(silent)
	return silent
}
