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
		Vector: a.serveVector,
		Heard: func(p transport.Peer, now time.Time) {
			a.liveness.Heard(p.Region, p.Agent, now)
		},
		RTT: func(p transport.Peer, d time.Duration, now time.Time) {
			a.liveness.RTT(p.Region, p.Agent, d, now)
		},
		WantVector: a.wantVector,
		VectorPulled: func(p transport.Peer, message []byte) {
			if err := a.gossip.Offer(message); err != nil {
				a.log.Debug("vector not taken", "from", p.String(), "error", err)
			}
		},
		Tick: a.livenessTick,
	}
}

// A version is its term and its sequence, big-endian, 8 bytes each.
func appendVersion(b []byte, v gossip.Version) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, v.Term), v.Seq)
}

func versionOf(b []byte) gossip.Version {
	return gossip.Version{Term: binary.BigEndian.Uint64(b), Seq: binary.BigEndian.Uint64(b[8:])}
}

const versionBytes = 16

// probeStatus announces the newest vector: the version of the whole one, then
// that which it and later changes amount to. An agent of the previous version
// reads the first, and pulls whole ones.
func (a *Agent) probeStatus() []byte {
	whole, newest, frame := a.gossip.Vector()
	if frame == nil {
		return nil
	}
	return appendVersion(appendVersion(nil, whole), newest)
}

// serveVector gives those who say what they have the changes since, others the
// whole vector.
func (a *Agent) serveVector(have []byte) []byte {
	if len(have) >= versionBytes {
		return a.gossip.Since(versionOf(have))
	}
	_, _, frame := a.gossip.Vector()
	return frame
}

func (a *Agent) wantVector(p transport.Peer, status []byte) (have []byte, want bool) {
	if len(status) < versionBytes {
		return nil, false
	}
	offered := versionOf(status)
	if len(status) >= 2*versionBytes {
		offered = versionOf(status[versionBytes:])
	}
	if !a.gossip.Wants(p.Region, offered) {
		return nil, false
	}
	var held gossip.Version
	if v := a.gossip.State().Regions[p.Region].Vector; v != nil {
		held = v.Version
	}
	return appendVersion(nil, held), true
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
