package gossip

import (
	"bytes"
	"time"
)

const (
	inboxFrames = 8_192
	inboxBytes  = 32 << 20
)

// arrival is a frame and the pool it came by; nil: a probe of the caller.
type arrival struct {
	pool  *pool
	frame []byte
	share share // set: a bundle to be passed on, nothing else
}

// deliver takes a message from memberlist without blocking: a frame or several.
func (m *Mesh) deliver(p *pool, message []byte) {
	if !isBundle(message) {
		m.deliverFrame(p, message)
		return
	}
	frames := splitBundle(message)
	for _, frame := range frames {
		m.deliverFrame(p, frame)
	}
	if s, ok := shareOf(message); ok && p == m.lan {
		m.enqueue(arrival{pool: p, frame: joinBundle(frames), share: s})
	}
}

func (m *Mesh) deliverFrame(p *pool, frame []byte) {
	m.enqueue(arrival{pool: p, frame: frame})
}

// enqueue copies the frame.
func (m *Mesh) enqueue(a arrival) {
	frame := a.frame
	if len(frame) > MaxFrame {
		m.metrics.drop(dropTooLarge)
		return
	}
	if m.inboxSize.Add(int64(len(frame))) > inboxBytes {
		m.inboxSize.Add(-int64(len(frame)))
		m.metrics.drop(dropOverflow)
		return
	}
	a.frame = bytes.Clone(frame)
	select {
	case m.inbox <- a:
	default:
		m.inboxSize.Add(-int64(len(frame)))
		m.metrics.drop(dropOverflow)
	}
}

// receive handles one frame and counts it when it is dropped.
func (m *Mesh) receive(a arrival, now time.Time) error {
	if a.share.groups > 0 {
		m.relay(a, now)
		return nil
	}
	kind, err := m.accept(a, now)
	if err != nil {
		m.metrics.drop(reasonOf(err))
		m.cfg.Logger.Debug("gossip frame dropped", "kind", kind.String(), "reason", reasonOf(err), "error", err)
		return err
	}
	m.metrics.receive(kind)
	return nil
}

func (m *Mesh) accept(a arrival, now time.Time) (kind, error) {
	e, err := openEnvelope(a.frame)
	if err != nil {
		return e.kind, err
	}
	switch e.kind {
	case kindDigest:
		err = m.acceptDigest(&e, a, now)
	case kindVector:
		err = m.acceptVector(&e, a, now)
	case kindLoad:
		err = m.acceptLoad(&e, a, now)
	case kindVerdict:
		err = m.acceptClaim(&e, a, m.book.verdicts, now)
	case kindOpinion:
		err = m.acceptClaim(&e, a, m.book.opinions, now)
	case kindCertAsk:
		err = m.answerAsk(&e, a, now)
	case kindCertTell:
		err = m.learnCertificate(&e, now)
	case kindOverride:
		err = m.acceptOverride(&e, a, now)
	case kindDelta:
		err = m.acceptDelta(&e, a, now)
	case kindLoadDelta:
		err = m.acceptLoadDelta(&e, a, now)
	case kindReportAsk:
		err = m.answerReport(&e, a, now)
	}
	return e.kind, err
}

// news says whether a version replaces what is held of its region. Hearing the
// same again is normal in gossip: not news, and no error.
func (m *Mesh) news(v, held Version, arrived time.Time, now time.Time) (bool, error) {
	switch order := v.Compare(held); {
	case order > 0:
		return true, nil
	case order == 0:
		return false, nil
	case now.Sub(arrived) > m.cfg.Timing.StartOver:
		return true, nil
	}
	return false, refuse(dropStale, ErrStale, "version %s, %s is held", v, held)
}

// newsOf is news of a region. When it is the own one, and somebody speaks for it in an
// earlier term than is held, the other gateways are told.
func (m *Mesh) newsOf(r *region, v, held Version, arrived, now time.Time) (bool, error) {
	fresh, err := m.news(v, held, arrived, now)
	if err != nil && r.name == m.cfg.Region && v.Term < r.newest().Term {
		m.contradict(r, now)
	}
	return fresh, err
}

func (m *Mesh) acceptDigest(e *envelope, a arrival, now time.Time) error {
	d, err := decodeDigest(e.payload)
	if err != nil {
		return err
	}
	if r := m.book.regions[d.Region]; r != nil && r.digest != nil {
		if fresh, err := m.newsOf(r, d.Version, r.digest.Version, r.digestArrived, now); !fresh {
			return err
		}
	}
	cert, err := m.identify(e, a, hint{region: d.Region}, now)
	if err != nil {
		return err
	}
	if cert.region != d.Region {
		return refuse(dropForeign, ErrForged, "digest of region %s signed by agent %s of region %s", d.Region, cert.agent, cert.region)
	}
	r := m.knownRegion(d.Region, now)
	if r == nil {
		return refuse(dropFull, ErrFrame, "digest of region %s: %d regions are known", d.Region, MaxRegions)
	}
	if d.Region == m.cfg.Region {
		m.heardLead(cert.agent, now)
	}
	m.adoptDigest(r, d, e, cert.agent, now)
	m.passOn(r, a.pool)
	return nil
}

func (m *Mesh) adoptDigest(r *region, d *Digest, e *envelope, from string, now time.Time) {
	bare := *e
	bare.cert = nil
	if r.newest().Compare(d.Version) < 0 {
		r.from = from
	}
	r.digest, r.digestFrame, r.digestKey, r.digestArrived = d, bare.encode(), e.key, now
	m.book.dirty = true
}

// passOn gossips a region's digest further: everything on the LAN, and on the
// WAN the own region's and what came by it.
func (m *Mesh) passOn(r *region, from *pool) {
	m.lan.broadcast(r.name, r.digestFrame)
	wan := m.wan.Load()
	if wan != nil && (r.name == m.cfg.Region || from == wan) {
		wan.broadcast(r.name, r.digestFrame)
	}
}

func (m *Mesh) acceptVector(e *envelope, a arrival, now time.Time) error {
	h, err := peekHead(e.payload)
	if err != nil {
		return err
	}
	if r := m.book.regions[h.Region]; r != nil && r.vector != nil {
		if r.base.version == h.Version {
			if a.pool == m.lan {
				m.fanoutSeen(r)
			}
			return nil
		}
		if fresh, err := m.newsOf(r, h.Version, r.vector.Version, r.vectorArrived, now); !fresh {
			return err
		}
	}
	cert, err := m.identify(e, a, hint{region: h.Region}, now)
	if err != nil {
		return err
	}
	if cert.region != h.Region {
		return refuse(dropForeign, ErrForged, "vector of region %s signed by agent %s of region %s", h.Region, cert.agent, cert.region)
	}
	v, err := decodeVector(e.payload)
	if err != nil {
		return err
	}
	r := m.knownRegion(h.Region, now)
	if r == nil {
		return refuse(dropFull, ErrFrame, "vector of region %s: %d regions are known", h.Region, MaxRegions)
	}
	if h.Region == m.cfg.Region {
		m.heardLead(cert.agent, now)
	}
	m.adoptVector(r, v, e, a, cert.agent, now)
	return nil
}

func (m *Mesh) adoptVector(r *region, v *Vector, e *envelope, a arrival, from string, now time.Time) {
	whole := *e
	if len(whole.cert) == 0 { // so that it can be verified wherever it goes
		if cert := m.book.certs.known[e.key]; cert != nil {
			whole.cert = cert.der
		}
	}
	if r.newest().Compare(v.Version) < 0 {
		r.from = from
	}
	r.base, r.vectorArrived = newBase(v, whole.encode()), now
	r.setVector(v)
	m.book.dirty = true
	m.noteGateways(v, now)
	if a.pool == m.lan {
		m.fanoutSeen(r)
		return
	}
	m.planFanout(r, now)
}

// noteGateways remembers the WAN addresses a vector tells, so that an agent
// that becomes a gateway knows whom to join.
func (m *Mesh) noteGateways(v *Vector, now time.Time) {
	noted := 0
	for i := range v.Agents {
		if v.Agents[i].WANAddr == "" || v.Agents[i].Name == m.cfg.Name {
			continue
		}
		m.wanBook.sight(v.Agents[i].WANAddr, v.Region, false, now)
		if noted++; noted > 2*gatewayCount {
			return
		}
	}
}
