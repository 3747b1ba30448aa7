package gossip

import (
	"maps"
	"slices"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// gatewayCount is k: how many agents of a region sit in the WAN pool.
const gatewayCount = 3

// book is what the mesh has heard. Mesh.mu guards it.
type book struct {
	certs *certStore

	lan      map[string]*poolPeer // live members, this agent included
	wan      map[string]*poolPeer // as last looked at, dead ones included
	members  []Member
	gateways []string        // first k of the live
	speakers map[string]bool // first k+1: views of who is live may differ for a moment

	regions  map[string]*region
	loads    map[string]*agentLoad
	heard    map[string]time.Time // last authentic frame of a LAN member
	verdicts map[string]*heardClaim
	opinions map[string]*heardClaim

	overrides map[string]*heldOverride // by region
	lamport   uint64                   // highest version of an override

	overridesRepeated time.Time

	role role
	lead lead

	declared  ownClaim
	opined    ownClaim
	loadSent  time.Time
	loadSeq   uint64
	loadTold  loadTeller
	asked     map[string]asked // by region
	loadAsked map[string]bool  // by agent: lacks the whole load of this one
	passing   passing
	stalled   time.Time // end of this agent's own last stall
	ticked    time.Time

	out   []sending
	dirty bool // a new State is due
}

// region is what was heard of one region.
type region struct {
	name string

	digest        *Digest
	digestFrame   []byte
	digestKey     keyID
	digestArrived time.Time

	vector        *Vector
	base          base
	summary       *Digest // of the vector
	vectorArrived time.Time
	missedSince   time.Time // a probe offers a newer one
	mended        Version   // deltas after this one were asked for,
	mends         int       // that often
	wanted        Version   // is being pulled
	wantedAt      time.Time

	from string // agent that signed the newest of both

	fanout fanout
}

func (r *region) setVector(v *Vector) {
	d := summarize(v)
	d.Version = v.Version
	r.vector, r.summary = v, &d
}

// newestDigest is the one that was gossiped, or what a newer vector amounts to.
func (r *region) newestDigest() (*Digest, time.Time) {
	if r.summary != nil && (r.digest == nil || r.summary.Version.Compare(r.digest.Version) > 0) {
		return r.summary, r.vectorArrived
	}
	return r.digest, r.digestArrived
}

// heardLast is when anything of the region arrived.
func (r *region) heardLast() time.Time {
	if r.vectorArrived.After(r.digestArrived) {
		return r.vectorArrived
	}
	return r.digestArrived
}

// newest is the highest version heard in digests and vectors.
func (r *region) newest() Version {
	var v Version
	if r.digest != nil {
		v = r.digest.Version
	}
	if r.vector != nil && r.vector.Version.Compare(v) > 0 {
		v = r.vector.Version
	}
	return v
}

// sending is a frame on its way out.
type sending struct {
	pool     *pool
	to       []*poolPeer
	frame    []byte
	topic    string
	reliable bool
}

func newBook(cfg *Config) book {
	return book{
		certs:    newCertStore(cfg.Verify),
		lan:      make(map[string]*poolPeer),
		regions:  make(map[string]*region),
		loads:    make(map[string]*agentLoad),
		heard:    make(map[string]time.Time),
		verdicts: make(map[string]*heardClaim),
		opinions: make(map[string]*heardClaim),

		overrides: make(map[string]*heldOverride),
		asked:     make(map[string]asked),
		loadAsked: make(map[string]bool),
		passing:   passing{relayed: make(map[string]int)},

		dirty: true,
	}
}

// knownRegion returns the entry of a region, a new one when there is room; the
// region silent for longest gives way once it was silent for StartOver.
func (m *Mesh) knownRegion(name string, now time.Time) *region {
	if r := m.book.regions[name]; r != nil {
		return r
	}
	if len(m.book.regions) >= MaxRegions {
		var oldest *region
		for _, r := range m.book.regions {
			if r.name != m.cfg.Region && (oldest == nil || r.heardLast().Before(oldest.heardLast())) {
				oldest = r
			}
		}
		if oldest == nil || now.Sub(oldest.heardLast()) < m.cfg.Timing.StartOver {
			return nil
		}
		delete(m.book.regions, oldest.name)
	}
	r := &region{name: name}
	m.book.regions[name] = r
	return r
}

// refreshMembers takes over what changed in the LAN pool.
func (m *Mesh) refreshMembers(now time.Time) {
	peers, changed := m.lan.look(false)
	if !changed {
		return
	}
	b := &m.book
	maps.DeleteFunc(peers, func(_ string, p *poolPeer) bool { return !p.alive })
	b.lan = peers
	names := slices.Sorted(maps.Keys(peers))
	b.members = make([]Member, len(names))
	for i, name := range names {
		b.members[i] = Member{Meta: peers[name].meta, Addr: peers[name].addr()}
	}
	ranked := policy.Gateways(m.cfg.Region, names, gatewayCount+1)
	b.gateways = ranked[:min(len(ranked), gatewayCount)]
	b.speakers = make(map[string]bool, len(ranked))
	for _, name := range ranked {
		b.speakers[name] = true
	}
	gone := func(agent string) bool { return peers[agent] == nil }
	maps.DeleteFunc(b.loads, func(agent string, _ *agentLoad) bool { return gone(agent) })
	maps.DeleteFunc(b.heard, func(agent string, _ time.Time) bool { return gone(agent) })
	maps.DeleteFunc(b.opinions, func(agent string, _ *heardClaim) bool { return gone(agent) })
	// A verdict outlives its gateway, for VerdictExpiry: the region did not come
	// back because the one that said so went.
	m.lan.forget(now.Add(-m.cfg.Timing.Remember))
	b.dirty = true
}

// refreshPeers takes over what changed in the WAN pool.
func (m *Mesh) refreshPeers(now time.Time) {
	p := m.wan.Load()
	if p == nil {
		if m.book.wan != nil {
			m.book.wan, m.book.dirty = nil, true
		}
		return
	}
	if peers, changed := p.look(m.book.wan == nil); changed {
		m.book.wan, m.book.dirty = peers, true
		p.forget(now.Add(-m.cfg.Timing.Remember))
	}
}
