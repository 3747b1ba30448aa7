package policy

// Gateways returns the first k live members in the region's rendezvous order.
func Gateways(region string, live []string, k int) []string { return nil }

// ProbeTargets returns the n gateways of a remote region that self probes.
func ProbeTargets(self string, remoteGateways []string, n int) []string { return nil }

// TunnelPeers returns the n agents of a remote region that self keeps tunnels to.
func TunnelPeers(self string, agents []Agent, n int) []Agent { return nil }
