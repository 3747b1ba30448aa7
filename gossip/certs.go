package gossip

import (
	"crypto/ed25519"
	"maps"
	"time"
)

const (
	recheckCertificate = time.Minute
	refusalMemory      = 10 * time.Second
	askAgain           = 500 * time.Millisecond
	parkedFor          = 5 * time.Second

	maxCertificates = 16_384
	maxRefused      = 1_024
	maxParkedKeys   = 256
	maxParkedFrames = 4 // for each key
	maxParkedBytes  = 8 << 20
)

// certificate is one that Config.Verify accepted.
type certificate struct {
	region, agent string
	pub           ed25519.PublicKey
	der           []byte
	checked       time.Time
}

// certStore remembers certificates by key id, which ones were refused, and the
// frames that wait for one.
type certStore struct {
	verify      func([]byte) (string, string, ed25519.PublicKey, error)
	known       map[keyID]*certificate
	refused     map[keyID]time.Time
	parked      map[keyID]*parking
	parkedBytes int
}

type parking struct {
	frames []arrival
	since  time.Time
	asked  time.Time
}

func newCertStore(verify func([]byte) (string, string, ed25519.PublicKey, error)) *certStore {
	return &certStore{
		verify: verify, known: make(map[keyID]*certificate),
		refused: make(map[keyID]time.Time), parked: make(map[keyID]*parking),
	}
}

// find returns the certificate of an envelope: a held one, or the one the
// envelope brings. nil without an error: not known yet.
func (s *certStore) find(e *envelope, now time.Time) (*certificate, error) {
	if at, ok := s.refused[e.key]; ok && now.Sub(at) < refusalMemory {
		return nil, refuse(dropCertificate, ErrForged, "certificate %s was refused before", e.key)
	}
	c := s.known[e.key]
	switch {
	case c != nil && now.Sub(c.checked) < recheckCertificate:
		return c, nil
	case c != nil:
		return s.learn(e.key, c.der, now)
	case len(e.cert) > 0:
		return s.learn(e.key, e.cert, now)
	}
	return nil, nil
}

// learn verifies a certificate and keeps it.
func (s *certStore) learn(key keyID, der []byte, now time.Time) (*certificate, error) {
	region, agent, pub, err := s.verify(der)
	if err != nil {
		delete(s.known, key)
		evictAny(s.refused, maxRefused)
		s.refused[key] = now
		return nil, refuse(dropCertificate, ErrForged, "certificate %s: %w", key, err)
	}
	if s.known[key] == nil {
		evictAny(s.known, maxCertificates)
	}
	c := &certificate{region: region, agent: agent, pub: pub, der: append([]byte(nil), der...), checked: now}
	s.known[key] = c
	return c, nil
}

func evictAny[K comparable, V any](m map[K]V, limit int) {
	for k := range m {
		if len(m) < limit {
			return
		}
		delete(m, k)
	}
}

// park keeps a frame until its certificate is known, and reports whether the
// certificate should be asked for now.
func (s *certStore) park(key keyID, a arrival, now time.Time) (ask bool) {
	p := s.parked[key]
	if p == nil {
		if len(s.parked) >= maxParkedKeys {
			return false
		}
		p = &parking{since: now}
		s.parked[key] = p
	}
	if s.parkedBytes+len(a.frame) <= maxParkedBytes {
		if len(p.frames) >= maxParkedFrames {
			s.parkedBytes -= len(p.frames[0].frame)
			p.frames = p.frames[1:]
		}
		p.frames = append(p.frames, a)
		s.parkedBytes += len(a.frame)
	}
	if now.Sub(p.asked) < askAgain {
		return false
	}
	p.asked = now
	return true
}

// release hands out the frames that waited for a key.
func (s *certStore) release(key keyID) []arrival {
	p := s.parked[key]
	if p == nil {
		return nil
	}
	delete(s.parked, key)
	for _, a := range p.frames {
		s.parkedBytes -= len(a.frame)
	}
	return p.frames
}

func (s *certStore) expire(now time.Time) {
	for key, p := range s.parked {
		if now.Sub(p.since) > parkedFor {
			s.release(key)
		}
	}
	maps.DeleteFunc(s.refused, func(_ keyID, at time.Time) bool { return now.Sub(at) >= refusalMemory })
}
