package gossip

import (
	"slices"
	"time"
)

// lead is this agent's part in speaking for the region.
type lead struct {
	first      bool      // of the gateways that are heard
	firstSince time.Time // of first
	other      time.Time // a report of the region by another, or by an earlier life of this agent, arrived
	leading    bool
	version    Version

	summed     time.Time
	digestSent time.Time
	digest     Digest // last sent, without its version
	wholeSent  time.Time
	wholeSize  int
	structure  []byte // of the last whole vector
	rtts       map[string]time.Duration
	deltaSent  time.Time
	told       *teller // nil before the first whole vector

	contradicted time.Time // another's earlier term
}

// heardLead notes a report of the own region that this agent did not just
// make. It was newer than what is held: whoever leads yields to it.
func (m *Mesh) heardLead(from string, now time.Time) {
	l := &m.book.lead
	l.other = now
	if l.leading {
		m.cfg.Logger.Info("another agent speaks for the region, this one stops", "other", from, "term", l.version.Term)
		m.stopLeading()
	}
}

// contradict lets the gateways hear the newest report of the region. Who was cut off
// from them, led by itself and is back before anybody found it dead has one of a later
// term: it would refuse theirs as old, until the lead takes up a term above.
func (m *Mesh) contradict(r *region, now time.Time) {
	l := &m.book.lead
	if !m.book.role.gateway || now.Sub(l.contradicted) < m.cfg.Timing.LeadSilence/2 {
		return
	}
	l.contradicted = now
	frame := r.base.frame
	if r.digest != nil && r.digest.Version.Term == r.newest().Term {
		frame = r.digestFrame
	}
	m.send(sending{pool: m.lan, to: m.fellows(), frame: frame, topic: "contradiction", reliable: len(frame) > maxDatagram})
}

func (m *Mesh) stopLeading() {
	m.book.lead.leading = false
	m.book.dirty = true
}

// silent says whether a fellow gateway was not heard for LeadSilence. Every
// agent's load arrives four times as often; memberlist alone would take several
// seconds to notice. This agent's own stalls do not count against others.
func (m *Mesh) silent(agent string, now time.Time) bool {
	b := &m.book
	since := b.heard[agent]
	if peer := b.lan[agent]; peer != nil && peer.since.After(since) {
		since = peer.since
	}
	for _, t := range []time.Time{b.stalled, b.role.firstKSince} {
		if t.After(since) {
			since = t
		}
	}
	return now.Sub(since) > m.cfg.Timing.LeadSilence
}

// firstHeard is the first gateway that is not silent.
func (m *Mesh) firstHeard(now time.Time) string {
	for _, name := range m.book.gateways {
		if name == m.cfg.Name || !m.silent(name, now) {
			return name
		}
	}
	return ""
}

// takeLead decides whether this agent speaks for the region: the first gateway
// heard, after LeadSilence without a report of another, with the highest term
// seen plus one.
func (m *Mesh) takeLead(now time.Time) {
	l := &m.book.lead
	first := m.book.role.gateway && m.firstHeard(now) == m.cfg.Name
	if first != l.first {
		l.first, l.firstSince = first, now
	}
	if !first {
		if l.leading {
			m.cfg.Logger.Info("no longer lead of the region", "term", l.version.Term)
			m.stopLeading()
		}
		return
	}
	if l.leading || now.Sub(l.firstSince) < m.leadPatience() || now.Sub(l.other) < m.cfg.Timing.LeadSilence {
		return
	}
	var newest Version
	if r := m.book.regions[m.cfg.Region]; r != nil {
		newest = r.newest()
	}
	*l = lead{first: true, firstSince: l.firstSince, other: l.other, leading: true, version: Version{Term: newest.Term + 1}, contradicted: l.contradicted}
	m.book.dirty = true
	m.metrics.terms.Inc()
	m.cfg.Logger.Info("lead of the region", "term", l.version.Term)
}

// leadPatience is shorter when nobody ever spoke for the region.
func (m *Mesh) leadPatience() time.Duration {
	if m.book.regions[m.cfg.Region] == nil {
		return min(m.cfg.Timing.Settle, m.cfg.Timing.LeadSilence)
	}
	return m.cfg.Timing.LeadSilence
}

// speak publishes the region's digest and vector when they are due.
func (m *Mesh) speak(now time.Time) {
	l, t := &m.book.lead, &m.cfg.Timing
	if !l.leading {
		return
	}
	if now.Sub(l.summed) < m.stretched(min(t.VectorChange, t.Digest))-t.Tick/2 {
		return
	}
	l.summed = now
	v := m.sumRegion(now)
	switch {
	case m.wholeDue(v, now):
		m.publishVector(v, now)
	case l.told != nil && now.Sub(l.deltaSent) >= m.stretched(t.Delta)-t.Tick/2:
		m.publishDelta(v, now)
	}
	d := summarize(v)
	d.format = m.oldestFormat()
	if now.Sub(l.digestSent) >= t.Digest || d.changedFrom(&l.digest) {
		l.digestSent, l.digest = now, d
		m.publishDigest(d, now)
	}
}

// wholeDue says whether the vector must go out whole: deltas can not tell
// changes of its agents, targets, policy or distances, and agents of an earlier
// version read nothing else.
func (m *Mesh) wholeDue(v *Vector, now time.Time) bool {
	l, t := &m.book.lead, &m.cfg.Timing
	since := now.Sub(l.wholeSent)
	switch {
	case l.told == nil:
		return true
	case since < m.fanoutGap(l.wholeSize):
		return false
	case !slices.Equal(structureOf(v), l.structure), !l.told.covers(v.Targets):
		return true
	case since >= rttAgain && rttsMoved(l.rtts, v.RTTs):
		return true
	}
	return since >= t.VectorRepeat && m.anyOlderFormat(now)
}

// structureOf is all of a vector but its numbers.
func structureOf(v *Vector) []byte {
	bare := *v
	bare.Targets, bare.RTTs = nil, nil
	return encodeVector(&bare)
}

// oldestFormat is what every agent of the region reads.
func (m *Mesh) oldestFormat() uint64 {
	oldest := uint64(formatDelta)
	for _, peer := range m.book.lan {
		oldest = min(oldest, peer.format)
	}
	return oldest
}

func (m *Mesh) anyOlderFormat(now time.Time) bool {
	for _, r := range m.book.regions {
		if r.digest != nil && r.digest.format < formatDelta && now.Sub(r.digestArrived) < m.cfg.Timing.StartOver {
			return true
		}
	}
	return false
}

func (m *Mesh) publishVector(v *Vector, now time.Time) {
	l := &m.book.lead
	l.version.Seq++
	structure := structureOf(v)
	v.Version = l.version
	frame := m.signer.Load().seal(kindVector, encodeVector(v))
	if len(frame) > MaxFrame {
		m.cfg.Logger.Error("region vector is too large to be sent", "bytes", len(frame), "limit", MaxFrame)
		return
	}
	l.wholeSent, l.deltaSent, l.wholeSize = now, now, len(frame)
	l.structure, l.rtts, l.told = structure, v.RTTs, newTeller(v.Targets)
	r := m.knownRegion(m.cfg.Region, now)
	r.base, r.vectorArrived, r.from = newBase(v, frame), now, m.cfg.Name
	r.setVector(v)
	m.metrics.vectorBytes.Set(float64(len(frame)))
	m.book.dirty = true
	m.planFanout(r, now)
}

// publishDelta says what changed, and that the lead lives. This agent itself
// holds what the others can know.
func (m *Mesh) publishDelta(v *Vector, now time.Time) {
	l, r := &m.book.lead, m.knownRegion(m.cfg.Region, now)
	l.deltaSent = now
	d := deltaFrame{Region: v.Region, Table: r.base.version.Seq, Previous: r.vector.Version.Seq, Entries: l.told.next(v.Targets, 1, vectorBudget.relayedTo(m.largestRegion(), len(m.book.regions)))}
	l.version.Seq++
	d.Version = l.version
	frame := m.signer.Load().seal(kindDelta, d.encode())
	m.applyDelta(r, &d, frame, m.cfg.Name, now)
	m.passLater(frame, now)
}

// stretched times between deltas are longer where they are relayed: so many go to
// every agent that their heads and signatures are most of what it gets.
func (m *Mesh) stretched(d time.Duration) time.Duration {
	if m.largestRegion() <= relayAbove {
		return d
	}
	return d * 6 / 5
}

// largestRegion is how many agents it has, as far as is known.
func (m *Mesh) largestRegion() int {
	most := len(m.book.lan)
	for _, r := range m.book.regions {
		if d, _ := r.newestDigest(); d != nil {
			most = max(most, d.Agents)
		}
	}
	return most
}

func (m *Mesh) publishDigest(d Digest, now time.Time) {
	l := &m.book.lead
	l.version.Seq++
	d.Version = l.version
	own := m.signer.Load()
	r := m.knownRegion(m.cfg.Region, now)
	r.digest, r.digestFrame, r.digestKey = &d, own.seal(kindDigest, encodeDigest(&d)), own.id
	r.digestArrived, r.from = now, m.cfg.Name
	m.book.dirty = true
	m.passOn(r, nil)
}

// changedFrom ignores what changes with every request.
func (d Digest) changedFrom(o *Digest) bool {
	d.InFlight = o.InFlight
	return d != *o
}

func summarize(v *Vector) Digest {
	d := Digest{Region: v.Region, Group: v.Group, Draining: v.Draining, PolicyVersion: v.PolicyVersion, Agents: len(v.Agents)}
	for name, t := range v.Targets {
		if isService(name) {
			d.Ready = min(d.Ready+t.Ready, maxCounter)
			d.InFlight = min(d.InFlight+t.InFlight, maxCounter)
		}
	}
	return d
}
