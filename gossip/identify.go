package gossip

import (
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// hint says who may hold a certificate: the agent that sent the frame, or the
// gateways of a region.
type hint struct{ agent, region string }

const maxAsked = 2

// identify returns the certificate of a frame's signer after checking the
// signature. When it is not known the frame waits and the certificate is asked
// for.
func (m *Mesh) identify(e *envelope, a arrival, h hint, now time.Time) (*certificate, error) {
	cert, err := m.book.certs.find(e, now)
	if err != nil {
		return nil, err
	}
	if cert == nil {
		if m.book.certs.park(e.key, a, now) {
			m.ask(e.key, a.pool, h)
		}
		return nil, refuse(dropUnknownKey, ErrForged, "certificate %s is not known yet", e.key)
	}
	if !e.authentic(cert.pub) {
		return nil, refuse(dropSignature, ErrForged, "signature of key %s does not fit", e.key)
	}
	if cert.region == m.cfg.Region {
		if _, member := m.book.lan[cert.agent]; member {
			m.book.heard[cert.agent] = now
		}
	}
	return cert, nil
}

func (m *Mesh) ask(key keyID, from *pool, h hint) {
	frame := (&envelope{kind: kindCertAsk, key: key, payload: appendText(nil, askFrom, m.cfg.Name)}).encode()
	for p, peers := range m.holders(from, h) {
		m.send(sending{pool: p, to: peers, frame: frame, topic: "ask/" + key.String(), reliable: true})
	}
}

const askFrom protowire.Number = 1

// holders picks whom to ask: the sender itself; for another region its gateways
// when the frame came by the WAN, and in any case gateways of the own region.
func (m *Mesh) holders(from *pool, h hint) map[*pool][]*poolPeer {
	picked := make(map[*pool][]*poolPeer)
	if h.agent != "" {
		if peer := m.book.lan[h.agent]; peer != nil {
			picked[m.lan] = append(picked[m.lan], peer)
		}
		return picked
	}
	for _, name := range m.book.gateways {
		if peer := m.book.lan[name]; peer != nil && name != m.cfg.Name && len(picked[m.lan]) < maxAsked {
			picked[m.lan] = append(picked[m.lan], peer)
		}
	}
	wan := m.wan.Load()
	if wan == nil || from != wan {
		return picked
	}
	for _, name := range slices.Sorted(maps.Keys(m.book.wan)) {
		peer := m.book.wan[name]
		if peer.alive && peer.meta.Region == h.region && name != m.cfg.Name && len(picked[wan]) < maxAsked {
			picked[wan] = append(picked[wan], peer)
		}
	}
	return picked
}

func (m *Mesh) answerAsk(e *envelope, a arrival, now time.Time) error {
	var asker string
	err := eachField(e.payload, func(f field) (err error) {
		if f.is(askFrom, protowire.BytesType) {
			asker, err = f.name("agent", MaxAgentName)
		}
		return err
	})
	if err != nil {
		return err
	}
	if a.pool == nil {
		return refuse(dropStranger, ErrForged, "a certificate is asked for outside the pools")
	}
	peer := a.pool.peer(asker)
	if peer == nil || !peer.alive {
		return refuse(dropStranger, ErrForged, "certificate %s is asked for by %q, who is no member", e.key, asker)
	}
	der := m.certificateDER(e.key)
	if der == nil {
		return nil
	}
	if !m.answers.AllowN(now, 1) {
		return refuse(dropRateExceeded, ErrFrame, "too many certificates are asked for")
	}
	frame := (&envelope{kind: kindCertTell, key: e.key, cert: der}).encode()
	m.send(sending{pool: a.pool, to: []*poolPeer{peer}, frame: frame, topic: "tell/" + e.key.String(), reliable: true})
	return nil
}

func (m *Mesh) certificateDER(key keyID) []byte {
	if own := m.signer.Load(); own.id == key {
		return own.der
	}
	if cert := m.book.certs.known[key]; cert != nil {
		return cert.der
	}
	return nil
}

func (m *Mesh) learnCertificate(e *envelope, now time.Time) error {
	if m.book.certs.parked[e.key] == nil {
		if m.book.certs.known[e.key] != nil { // the second of two who were asked
			return nil
		}
		return refuse(dropUnrequested, ErrForged, "certificate %s was not asked for", e.key)
	}
	if len(e.cert) == 0 {
		return refuse(dropMalformed, ErrFrame, "an answer without a certificate")
	}
	waiting := m.book.certs.release(e.key)
	if _, err := m.book.certs.learn(e.key, e.cert, now); err != nil {
		return err
	}
	for _, a := range waiting {
		_ = m.receive(a, now) // counted and logged there
	}
	return nil
}
