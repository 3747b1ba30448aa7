package gossip

import (
	"cmp"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// In a large region a gateway that sent every bundle of deltas to every agent would
// send little else. So it parts the agents into a few groups, and sends to one of
// each, in turns, which passes the bundle on to the others of its group. A relay
// that died costs its group one bundle, which is asked for: see mend.

const (
	// relayAbove is how many agents a region has at least, without the one that
	// sends, for bundles to be relayed.
	relayAbove = 16
	maxGroups  = 256

	// What an agent relays for others, whoever asks it to: bundles × members of the
	// group, in bytes a second. 1,000 agents and 250 regions ask for less.
	relayedBytes = 1 << 20
)

// bundleShare is a field of a bundle: the group that whoever gets it passes it on
// to, as groups × 2^16 + group. Agents before formatRelay ignore it.
const bundleShare protowire.Number = 2

// share is a part of a region's agents, by a hash of their names: views of who is
// live may differ without moving anybody else.
type share struct{ groups, group int }

// groupsOf so many agents: 2 of 47, 10 of 1,000. More would spare the gateways less,
// fewer lose more to a relay that died.
func groupsOf(agents int) int {
	return max(min(int(math.Sqrt(float64(agents))/3), maxGroups), 2)
}

func (s share) has(agent string) bool {
	h := fnv.New32a()
	_, _ = h.Write([]byte(agent)) // never fails
	return int(h.Sum32()%uint32(s.groups)) == s.group
}

func (s share) appendTo(bundle []byte) []byte {
	return appendUint(slices.Clone(bundle), bundleShare, uint64(s.groups)<<16|uint64(s.group))
}

// shareOf a bundle; false when it has none that makes sense.
func shareOf(bundle []byte) (s share, ok bool) {
	err := eachField(bundle, func(f field) error {
		if f.is(bundleShare, protowire.VarintType) {
			s = share{int(f.n >> 16 & 0xffff), int(f.n & 0xffff)}
		}
		return nil
	})
	return s, err == nil && s.groups > 0 && s.groups <= maxGroups && s.group < s.groups
}

// spread sends a bundle of deltas to every agent of the region, by way of some where
// they are many.
func (m *Mesh) spread(bundle []byte, now time.Time) {
	fellows, to := m.readers()
	if len(to) < relayAbove || len(bundle) > maxDatagram {
		fellows, to = append(fellows, to...), nil
	}
	m.send(sending{pool: m.lan, to: fellows, frame: bundle, topic: "deltas", reliable: len(bundle) > maxDatagram})
	if len(to) == 0 {
		return
	}
	groups := groupsOf(len(to))
	for n := range groups {
		s := share{groups, n}
		members := slices.DeleteFunc(slices.Clone(to), func(p *poolPeer) bool { return !s.has(p.node.Name) })
		frame := bundle
		if relay := m.relayOf(members, now); relay != nil {
			m.book.passing.relayed[relay.node.Name] += len(bundle) * (len(members) - 1)
			members, frame = []*poolPeer{relay}, s.appendTo(bundle)
		}
		m.send(sending{pool: m.lan, to: members, frame: frame, topic: "deltas"})
	}
}

// readers of deltas: the other gateways, who have enough to do, and those who relay.
func (m *Mesh) readers() (gateways, others []*poolPeer) {
	for _, p := range m.others() {
		switch {
		case p.format < formatDelta:
		case slices.Contains(m.book.gateways, p.node.Name):
			gateways = append(gateways, p)
		default:
			others = append(others, p)
		}
	}
	return gateways, others
}

// relayOf is who passed on least so far, of those who can and are heard. Nil when
// nobody can, or nobody is there to pass it on to.
func (m *Mesh) relayOf(members []*poolPeer, now time.Time) *poolPeer {
	able := slices.DeleteFunc(slices.Clone(members), func(p *poolPeer) bool {
		return p.format < formatRelay || m.silent(p.node.Name, now)
	})
	if len(able) == 0 || len(members) < 2 {
		return nil
	}
	relayed := m.book.passing.relayed
	if slices.ContainsFunc(able, func(p *poolPeer) bool { _, known := relayed[p.node.Name]; return !known }) {
		clear(relayed) // or whoever is new would do it all until it caught up
		for _, p := range m.others() {
			relayed[p.node.Name] = 0
		}
	}
	return slices.MinFunc(able, func(a, b *poolPeer) int {
		return cmp.Or(cmp.Compare(relayed[a.node.Name], relayed[b.node.Name]), cmp.Compare(m.orderOf(a), m.orderOf(b)))
	})
}

// orderOf agents that passed on as much as each other: another one at each gateway, so
// that not all ask the same.
func (m *Mesh) orderOf(p *poolPeer) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(m.cfg.Name + " " + p.node.Name)) // never fails
	return h.Sum32()
}

// relay passes a bundle on to the others of a group.
func (m *Mesh) relay(a arrival, now time.Time) {
	_, to := m.readers()
	to = slices.DeleteFunc(to, func(p *poolPeer) bool { return !a.share.has(p.node.Name) })
	if !m.relays.AllowN(now, len(a.frame)*len(to)) {
		m.metrics.drop(dropRateExceeded)
		return
	}
	m.send(sending{pool: m.lan, to: to, frame: a.frame, topic: "deltas"})
}
