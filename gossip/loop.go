package gossip

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"
)

const inboxBatch = 256

// run is the one goroutine that works on the book, apart from Offer.
func (m *Mesh) run(ctx context.Context) {
	ticker := time.NewTicker(m.cfg.Timing.Tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-m.inbox:
			m.receiveBatch(a)
		case <-m.wake:
			m.tick()
		case <-ticker.C:
			m.tick()
		}
		m.flush()
	}
}

func (m *Mesh) receiveBatch(a arrival) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refreshMembers(time.Now())
	for range inboxBatch {
		m.inboxSize.Add(-int64(len(a.frame)))
		_ = m.receive(a, time.Now()) // counted and logged there
		select {
		case a = <-m.inbox:
		default:
			m.publishState()
			return
		}
	}
	m.publishState()
}

func (m *Mesh) tick() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if b := &m.book; now.Sub(b.ticked) > m.cfg.Timing.LeadSilence/2 {
		b.stalled = now
	}
	m.book.ticked = now
	m.refreshMembers(now)
	m.refreshPeers(now)
	m.followRole(now)
	m.sendLoad(now)
	m.takeLead(now)
	m.speak(now)
	m.fanOut(now)
	m.passDeltas(now)
	m.sendClaims(now)
	m.expireClaims(now)
	m.expireOverrides(now)
	m.repeatOverrides(now)
	m.book.certs.expire(now)
	m.publishState()
}

// poke makes the loop look soon; it never blocks.
func (m *Mesh) poke() { signal(m.wake) }

// send queues a frame; m.mu is held. The loop flushes after unlocking.
func (m *Mesh) send(s sending) {
	if len(s.to) > 0 {
		m.book.out = append(m.book.out, s)
	}
}

func (m *Mesh) flush() {
	m.mu.Lock()
	out := m.book.out
	m.book.out = nil
	m.mu.Unlock()
	for _, s := range out {
		for _, peer := range s.to {
			m.dispatch(s, peer)
		}
	}
}

func (m *Mesh) dispatch(s sending, peer *poolPeer) {
	if s.reliable {
		if !m.courier.put(parcel{pool: s.pool, peer: peer, topic: s.topic, frame: s.frame}) {
			m.metrics.sendFailed("queue_full")
		}
		return
	}
	if err := s.pool.list.SendBestEffort(&peer.node, s.frame); err != nil {
		m.metrics.sendFailed("datagram")
	}
}

func (m *Mesh) sendParcel(p parcel) {
	if err := p.pool.list.SendReliable(&p.peer.node, p.frame); err != nil {
		m.metrics.sendFailed("stream")
		m.cfg.Logger.Debug("gossip stream failed", "topic", p.topic, "to", p.peer.node.Name, "error", err)
	}
}

// publishState swaps in a new snapshot when something changed; m.mu is held.
func (m *Mesh) publishState() {
	b := &m.book
	if !b.dirty {
		return
	}
	b.dirty = false
	s := &State{
		Members: b.members, Gateways: b.gateways, Lead: m.currentLead(),
		IsGateway: b.role.gateway, IsLead: b.lead.leading,
		Regions:  m.regionInfos(),
		Verdicts: inForce(b.verdicts), Opinions: inForce(b.opinions),
		Overrides: m.overridesInForce(time.Now()),
	}
	s.Down = unionRegions(s.Verdicts)
	if r := b.regions[m.cfg.Region]; r != nil {
		s.Term = r.newest().Term
	}
	m.state.Store(s)
	signal(m.changed)
}

// currentLead is who signed the region's newest report while that is fresh and
// the signer a live gateway, else the first gateway.
func (m *Mesh) currentLead() string {
	b := &m.book
	if len(b.gateways) == 0 {
		return ""
	}
	r := b.regions[m.cfg.Region]
	if r != nil && slices.Contains(b.gateways, r.from) &&
		time.Since(r.heardLast()) < m.cfg.Timing.LeadSilence+m.cfg.Timing.Delta {
		return r.from
	}
	return b.gateways[0]
}

func (m *Mesh) regionInfos() map[string]RegionInfo {
	infos := make(map[string]RegionInfo, len(m.book.regions))
	for name, r := range m.book.regions {
		digest, arrived := r.newestDigest()
		infos[name] = RegionInfo{
			Region: name, Digest: digest, Arrived: arrived,
			Vector: r.vector, VectorArrived: r.vectorArrived,
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.book.wan)) {
		peer := m.book.wan[name]
		info := infos[peer.meta.Region]
		info.Region = peer.meta.Region
		info.Peers = append(info.Peers, Peer{Meta: peer.meta, Addr: peer.addr(), Alive: peer.alive})
		infos[info.Region] = info
	}
	for _, info := range infos {
		slices.SortFunc(info.Peers, func(x, y Peer) int {
			return cmp.Or(boolOrder(y.Alive, x.Alive), cmp.Compare(x.Name, y.Name))
		})
	}
	return infos
}

func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
