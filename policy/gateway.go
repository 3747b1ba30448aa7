package policy

import (
	"cmp"
	"slices"
)

// Gateways returns the first k of a region's live members in rendezvous order;
// the first is the lead. Every agent gets the same answer from the same
// members, in whatever order it knows them; when one joins or leaves, the order
// of the others does not change. A member named twice counts once.
//
// Source: D. G. Thaler and C. V. Ravishankar, "Using Name-Based Mappings to
// Increase Hit Rates", IEEE/ACM Transactions on Networking 6(1), 1998 (highest
// random weight).
func Gateways(region string, live []string, k int) []string {
	return rendezvous("gateway/"+region, live, k)
}

// ProbeTargets returns the n gateways of a remote region that the gateway self
// probes, by rendezvous, so that each is probed by about as many.
func ProbeTargets(self string, remoteGateways []string, n int) []string {
	return rendezvous("probe/"+self, remoteGateways, n)
}

// TunnelPeers returns the n agents of a remote region that the agent self keeps
// tunnels to, by rendezvous, so that each gets about as many. Draining agents
// are taken only when the others do not suffice.
func TunnelPeers(self string, agents []Agent, n int) []Agent {
	peers := slices.Clone(agents)
	key := "tunnel/" + self
	slices.SortFunc(peers, func(a, b Agent) int {
		return cmp.Or(compareFalseFirst(a.Draining, b.Draining), compareWeight(key, a.Name, b.Name))
	})
	return peers[:clampCount(n, len(peers))]
}

// DeviceHome returns the agent of a region that knows where a device is, among
// those given, by rendezvous; "" of none.
func DeviceHome(device string, agents []string) string {
	if len(agents) == 0 {
		return ""
	}
	key := "home/" + device
	return slices.MinFunc(agents, func(a, b string) int { return compareWeight(key, a, b) })
}

func rendezvous(key string, names []string, n int) []string {
	order := slices.Clone(names)
	slices.SortFunc(order, func(a, b string) int { return compareWeight(key, a, b) })
	order = slices.Compact(order)
	return order[:clampCount(n, len(order))]
}

func clampCount(n, available int) int { return max(0, min(n, available)) }

func compareWeight(key, a, b string) int {
	return cmp.Or(cmp.Compare(rendezvousWeight(key, b), rendezvousWeight(key, a)), cmp.Compare(a, b))
}

func rendezvousWeight(key, name string) uint64 {
	return scramble(hashString(hashString(hashSeed, key)*hashPrime, name))
}

// FNV-1a, 64 bits. The values are part of the mesh's protocol: neighbouring
// versions must agree on who is gateway.
const (
	hashSeed  uint64 = 14695981039346656037
	hashPrime uint64 = 1099511628211
)

func hashString(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * hashPrime
	}
	return h
}

// scramble spreads every bit of its input over the whole word, which FNV does
// not: the finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
func scramble(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
