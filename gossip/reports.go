package gossip

import (
	"time"
)

// agentLoad is the load of one agent of the region.
type agentLoad struct {
	life     uint64
	seq      uint64
	arrived  time.Time // of the newest complete load
	complete bool
	load     Load
	table    uint64   // sequence of the whole load that deltas build on
	names    []string // its targets, by number

	parts map[int]bool // of seq, while it is incomplete
	told  map[string]TargetLoad
}

// sender checks a report of a single agent: its origin is a live member in its
// present life, and the signer is that agent.
func (m *Mesh) sender(e *envelope, a arrival, stale func(origin) error, now time.Time) (origin, error) {
	o, err := peekOrigin(e.payload)
	if err != nil {
		return o, err
	}
	peer := m.book.lan[o.Agent]
	switch {
	case a.pool != m.lan || peer == nil || o.Agent == m.cfg.Name:
		return o, refuse(dropStranger, ErrForged, "%s of agent %q, who is no other live member", e.kind, o.Agent)
	case peer.life != o.Life:
		return o, refuse(dropEarlierLife, ErrStale, "%s of another run of agent %s", e.kind, o.Agent)
	}
	if err := stale(o); err != nil {
		return o, err
	}
	cert, err := m.identify(e, a, hint{agent: o.Agent}, now)
	if err != nil {
		return o, err
	}
	if cert.region != m.cfg.Region || cert.agent != o.Agent {
		return o, refuse(dropForeign, ErrForged, "%s of agent %s signed by %s of region %s", e.kind, o.Agent, cert.agent, cert.region)
	}
	return o, nil
}

func (m *Mesh) acceptLoad(e *envelope, a arrival, now time.Time) error {
	o, err := m.sender(e, a, m.staleLoad, now)
	if err != nil {
		return err
	}
	frame, err := decodeLoad(e.payload)
	if err != nil {
		return err
	}
	l := m.book.loads[o.Agent]
	if l == nil || l.life != o.Life {
		l = &agentLoad{life: o.Life}
		m.book.loads[o.Agent] = l
	}
	return l.add(frame, now)
}

func (m *Mesh) staleLoad(o origin) error {
	l := m.book.loads[o.Agent]
	if l == nil || l.life != o.Life || o.Seq > l.seq || (o.Seq == l.seq && l.parts != nil) {
		return nil
	}
	return refuse(dropStale, ErrStale, "load %d of agent %s, %d is held", o.Seq, o.Agent, l.seq)
}

// add takes one part; the load is replaced once all parts of a sequence are in.
func (l *agentLoad) add(f *loadFrame, now time.Time) error {
	if f.Seq != l.seq || l.parts == nil {
		l.seq, l.parts, l.told = f.Seq, make(map[int]bool), make(map[string]TargetLoad)
	}
	for name, target := range f.Load.Targets {
		if len(l.told) >= MaxTargets {
			return refuse(dropFull, ErrFrame, "load of agent %s: more than %d targets", f.Agent, MaxTargets)
		}
		l.told[name] = target
	}
	l.parts[f.Part] = true
	if len(l.parts) == f.Parts {
		l.load = Load{Targets: l.told, RTTs: f.Load.RTTs, Draining: f.Load.Draining, PolicyVersion: f.Load.PolicyVersion}
		l.complete, l.arrived, l.parts, l.told = true, now, nil, nil
		l.index(f)
	}
	return nil
}

// envelopeOverhead is what sealing adds to a payload of a datagram: version,
// kind, key id, signature, and the payload's tag and length.
const envelopeOverhead = 2 + 2 + 10 + 66 + 3

// fellows are the other gateways of the region.
func (m *Mesh) fellows() []*poolPeer {
	peers := make([]*poolPeer, 0, gatewayCount)
	for _, name := range m.book.gateways {
		if peer := m.book.lan[name]; peer != nil && name != m.cfg.Name {
			peers = append(peers, peer)
		}
	}
	return peers
}

// others are all other live members of the region.
func (m *Mesh) others() []*poolPeer {
	peers := make([]*poolPeer, 0, len(m.book.lan))
	for name, peer := range m.book.lan {
		if name != m.cfg.Name {
			peers = append(peers, peer)
		}
	}
	return peers
}
