package transport

import (
	"context"
	"crypto/tls"
)

// keepers is an immutable snapshot: who is to be connected to.
type keepers struct {
	byPeer   map[Peer]*keeper
	byRegion map[string][]*keeper
}

func newKeepers(byPeer map[Peer]*keeper) *keepers {
	k := &keepers{byPeer: byPeer, byRegion: map[string][]*keeper{}}
	for peer, keeper := range byPeer {
		k.byRegion[peer.Region] = append(k.byRegion[peer.Region], keeper)
	}
	return k
}

// Keep sets the tunnels to keep warm, dialled for ever with jittered backoff.
// Those left out take no new requests and close when idle. An endpoint whose
// address changed is dialled there, and moved when that succeeds. This agent
// itself is left out.
func (m *Mesh) Keep(endpoints []Endpoint) { m.keep(tunnelKind, endpoints) }

// Probe sets the agents to probe, every 50 ms each; those left out are not
// probed any more. This agent itself is left out.
func (m *Mesh) Probe(targets []Endpoint) { m.keep(probeKind, targets) }

func (m *Mesh) keep(kind kind, endpoints []Endpoint) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	current := &m.tunnels
	if kind == probeKind {
		current = &m.probes
	}
	old := current.Load().byPeer
	next := make(map[Peer]*keeper, len(endpoints))
	for _, e := range endpoints {
		if e.Peer == m.cfg.Self {
			continue
		}
		k := old[e.Peer]
		if k == nil {
			k = next[e.Peer]
		}
		if k == nil {
			k = m.startKeeper(kind, e)
		}
		k.moveTo(e.Addr)
		next[e.Peer] = k
	}
	for peer, k := range old {
		if next[peer] == nil {
			k.cancel()
		}
	}
	current.Store(newKeepers(next))
}

func (m *Mesh) startKeeper(kind kind, e Endpoint) *keeper {
	ctx, cancel := context.WithCancel(m.ctx)
	k := &keeper{
		mesh:   m,
		kind:   kind,
		peer:   e.Peer,
		log:    m.cfg.Logger.With("peer", e.Peer.String()),
		kick:   make(chan struct{}, 1),
		cancel: cancel,
		cache:  tls.NewLRUClientSessionCache(1), // one a keeper: a ticket is good for one peer
	}
	k.addr.Store(&e.Addr)
	m.wg.Go(func() { k.run(ctx) })
	return k
}

// Tunnel returns the live tunnel to the peer, nil when there is none. It never
// dials.
func (m *Mesh) Tunnel(p Peer) *Tunnel {
	if k := m.tunnels.Load().byPeer[p]; k != nil {
		return k.tunnel()
	}
	return nil
}

// AppendTunnels appends the live tunnels to agents of the region, in no
// particular order. It never dials.
func (m *Mesh) AppendTunnels(dst []*Tunnel, region string) []*Tunnel {
	for _, k := range m.tunnels.Load().byRegion[region] {
		if t := k.tunnel(); t != nil {
			dst = append(dst, t)
		}
	}
	return dst
}

// Abandon fails the requests in flight to a region at once, with ErrTunnelLost,
// and closes its tunnels; they are re-dialled in the background.
func (m *Mesh) Abandon(region string) {
	for _, k := range m.tunnels.Load().byRegion[region] {
		if t := k.live.Load(); t != nil {
			t.wire.close(errAbandoned)
		}
	}
}
