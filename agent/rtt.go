package agent

import (
	"time"

	"github.com/tidegate/tidegate/gossip"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

// steadyRTT keeps the round-trip times that plans are ordered by from moving
// with every packet. For one goroutine.
type steadyRTT map[string]*policy.SteadyRTT

func (s steadyRTT) update(measured map[string]time.Duration) map[string]time.Duration {
	now := make(map[string]time.Duration, len(measured))
	for region, rtt := range measured {
		if s[region] == nil {
			s[region] = new(policy.SteadyRTT)
		}
		now[region] = s[region].Follow(rtt)
	}
	return now
}

// measureRTT takes a gateway's probes, else the shortest of the tunnels.
func (a *Agent) measureRTT(state *gossip.State) map[string]time.Duration {
	all := make(map[string]time.Duration, len(state.Regions))
	var room [tunnelsPerRegion]*transport.Tunnel
	for region := range state.Regions {
		if rtt, ok := a.liveness.RegionRTT(region); ok && state.IsGateway {
			all[region] = rtt
			continue
		}
		for _, t := range a.mesh.AppendTunnels(room[:0], region) {
			if rtt := t.RTT(); rtt > 0 && (all[region] == 0 || rtt < all[region]) {
				all[region] = rtt
			}
		}
	}
	return all
}
