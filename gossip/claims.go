package gossip

import (
	"maps"
	"slices"
	"time"
)

// heardClaim is a gateway's newest verdict or opinion. It is kept, void, after
// it expired: older sequences must not come back.
type heardClaim struct {
	life  uint64
	seq   uint64
	claim Claim
	void  bool
}

// ownClaim is what this agent declares or opines.
type ownClaim struct {
	regions []string
	said    bool // at least once
	due     bool // at once
	sent    time.Time
	changed time.Time
	seq     uint64
}

func (c *ownClaim) set(regions []string, now time.Time) {
	regions = tidyRegions(regions)
	if c.said && slices.Equal(regions, c.regions) {
		return
	}
	c.regions, c.said, c.due, c.changed = regions, true, true, now
}

func (m *Mesh) acceptClaim(e *envelope, a arrival, heard map[string]*heardClaim, now time.Time) error {
	o, err := m.sender(e, a, func(o origin) error {
		if !m.book.speakers[o.Agent] {
			return refuse(dropNotGateway, ErrForged, "%s of agent %s, who is no gateway", e.kind, o.Agent)
		}
		if h := heard[o.Agent]; h != nil && h.life == o.Life && o.Seq <= h.seq {
			return refuse(dropStale, ErrStale, "%s %d of agent %s, %d is held", e.kind, o.Seq, o.Agent, h.seq)
		}
		return nil
	}, now)
	if err != nil {
		return err
	}
	c, err := decodeClaim(e.payload)
	if err != nil {
		return err
	}
	heard[o.Agent] = &heardClaim{life: o.Life, seq: o.Seq, claim: Claim{From: o.Agent, Regions: c.Regions, Arrived: now}}
	m.book.dirty = true
	return nil
}

// sendClaims repeats this gateway's verdict to every member and its opinion to
// its fellows. An empty verdict is repeated only until the last one is void
// everywhere.
func (m *Mesh) sendClaims(now time.Time) {
	b, t := &m.book, &m.cfg.Timing
	if !b.role.gateway {
		m.dropOwnClaims()
		return
	}
	d := &b.declared
	settled := len(d.regions) == 0 && now.Sub(d.changed) > t.VerdictExpiry
	if d.said && (d.due || (now.Sub(d.sent) >= t.Verdict && !settled)) {
		m.sendClaim(kindVerdict, d, m.others(), b.verdicts, now)
	}
	o := &b.opined
	if o.said && (o.due || now.Sub(o.sent) >= t.Opinion) {
		m.sendClaim(kindOpinion, o, m.fellows(), nil, now)
	}
}

func (m *Mesh) sendClaim(k kind, c *ownClaim, to []*poolPeer, own map[string]*heardClaim, now time.Time) {
	c.due, c.sent = false, now
	c.seq++
	f := claimFrame{origin: origin{Agent: m.cfg.Name, Life: m.life, Seq: c.seq}, Regions: c.regions}
	if own != nil {
		own[m.cfg.Name] = &heardClaim{life: m.life, seq: c.seq, claim: Claim{From: m.cfg.Name, Regions: c.regions, Arrived: now}}
		m.book.dirty = true
	}
	if len(to) == 0 {
		return
	}
	frame := m.signer.Load().seal(k, f.encode())
	m.send(sending{pool: m.lan, to: to, frame: frame, topic: k.String(), reliable: len(frame) > maxDatagram})
}

// dropOwnClaims leaves the role's last words to expire.
func (m *Mesh) dropOwnClaims() {
	if m.book.declared.said {
		m.book.declared.said, m.book.declared.regions = false, nil
	}
	m.book.opined.said = false
}

func (m *Mesh) expireClaims(now time.Time) {
	t := &m.cfg.Timing
	m.voidOld(m.book.verdicts, now.Add(-t.VerdictExpiry))
	m.voidOld(m.book.opinions, now.Add(-t.OpinionExpiry))
	maps.DeleteFunc(m.book.verdicts, func(agent string, h *heardClaim) bool {
		return h.void && m.book.lan[agent] == nil
	})
}

func (m *Mesh) voidOld(heard map[string]*heardClaim, before time.Time) {
	for _, h := range heard {
		if !h.void && h.claim.Arrived.Before(before) {
			h.void = true
			m.book.dirty = true
		}
	}
}

// inForce lists the claims that are not void, by name.
func inForce(heard map[string]*heardClaim) []Claim {
	var claims []Claim
	for _, name := range slices.Sorted(maps.Keys(heard)) {
		if h := heard[name]; !h.void {
			claims = append(claims, h.claim)
		}
	}
	return claims
}

func unionRegions(claims []Claim) []string {
	var all []string
	for _, c := range claims {
		all = append(all, c.Regions...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
