package gossip

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// A link may fail for too short a time for memberlist to notice, so that no
// state exchange follows. Gateways therefore repeat the operators' words, and
// whoever took one does for a while. What a round may send is bounded; where
// there is more, chance picks, so that in the end everything is sent to all.
const (
	overrideRepeat    = time.Second
	overrideRemind    = 10 * time.Minute // released and run out words are repeated for as long
	overrideAuthor    = 10 * time.Second // an agent that is no gateway repeats its own for as long
	overrideListeners = 2                // a round and pool
	overrideSendings  = 2                // a round and pool
)

func (m *Mesh) repeatOverrides(now time.Time) {
	b := &m.book
	if len(b.overrides) == 0 || now.Sub(b.overridesRepeated) < overrideRepeat {
		return
	}
	b.overridesRepeated = now
	words := m.overridesToRepeat(now)
	m.repeatTo(m.lan, m.others(), words, now)
	if wan := m.wan.Load(); wan != nil {
		m.repeatTo(wan, m.oneGatewayOfEach(), words, now)
	}
}

func (m *Mesh) overridesToRepeat(now time.Time) []*heldOverride {
	var words []*heldOverride
	for _, h := range m.book.overrides {
		switch {
		case !m.book.role.gateway && (h.By != m.cfg.Name || now.Sub(h.signed) > overrideAuthor):
		case h.inForce() || now.Sub(h.ended()) < overrideRemind:
			words = append(words, h)
		}
	}
	return words
}

// ended is when a word that is not in force ceased to be.
func (h *heldOverride) ended() time.Time {
	if h.expired {
		return h.Expires
	}
	return h.signed
}

func (m *Mesh) repeatTo(p *pool, peers []*poolPeer, words []*heldOverride, now time.Time) {
	if len(peers) == 0 {
		return
	}
	to := some(peers, overrideListeners)
	for _, h := range some(words, overrideSendings/len(to)) {
		bare := *h
		bare.frame.cert = nil // most know it; the others ask
		m.send(sending{pool: p, to: to, frame: bare.encode(now), topic: overrideTopic(h.Region)})
	}
}

// oneGatewayOfEach picks a live gateway of each other region: it passes on what
// is news to it.
func (m *Mesh) oneGatewayOfEach() []*poolPeer {
	picked := make(map[string]*poolPeer)
	for _, peer := range some(m.farGateways(), len(m.book.wan)) {
		picked[peer.meta.Region] = peer
	}
	return slices.Collect(maps.Values(picked))
}

// some picks at most n by chance.
func some[T any](all []T, n int) []T {
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(n, len(all))]
}
