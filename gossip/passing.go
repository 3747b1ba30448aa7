package gossip

import (
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Deltas of all regions reach a region's agents in one hop from a gateway, or two
// (see relay), as many in a datagram as fit: a frame by itself costs half as much again. The
// gateways share the regions between them.

// pullAgain is how long a pull may take before it is given up for lost.
const pullAgain = 500 * time.Millisecond

// passing is deltas on their way to the LAN.
type passing struct {
	frames  [][]byte
	since   time.Time
	relayed map[string]int // bytes, by agent that was asked to
}

func (m *Mesh) passLater(frame []byte, now time.Time) {
	p := &m.book.passing
	if len(p.frames) == 0 {
		p.since = now
	}
	p.frames = append(p.frames, frame)
}

func (m *Mesh) passDeltas(now time.Time) {
	p := &m.book.passing
	if len(p.frames) == 0 || now.Sub(p.since) < m.passGap()-m.cfg.Timing.Tick/2 {
		return
	}
	for _, bundle := range packFrames(p.frames, maxDatagram) {
		m.spread(bundle, now)
	}
	p.frames, p.since = nil, time.Time{}
}

// passGap is shorter where deltas are relayed: they are further apart there.
func (m *Mesh) passGap() time.Duration {
	if m.largestRegion() <= relayAbove {
		return m.cfg.Timing.FanoutStep
	}
	return m.cfg.Timing.FanoutStep * 2 / 3
}

// packFrames puts frames into bundles of at most limit bytes, in order; a frame
// that is larger by itself gets one of its own.
func packFrames(frames [][]byte, limit int) [][]byte {
	var bundles [][]byte
	var b []byte
	for _, frame := range frames {
		if len(b) > 0 && len(b)+protowire.SizeTag(bundleFrame)+protowire.SizeBytes(len(frame)) > limit {
			bundles, b = append(bundles, b), nil
		}
		b = appendBlob(b, bundleFrame, frame)
	}
	if len(b) > 0 {
		bundles = append(bundles, b)
	}
	return bundles
}

// turn is this gateway's place among those that care for a region's reports; the
// first one carries them, the others stand in. The own region's come from its
// lead. Gateways take the regions in turns, so that each has as many to carry.
func (m *Mesh) turn(region string) int {
	place := slices.Index(m.book.gateways, m.cfg.Name)
	switch {
	case region == m.cfg.Region:
		return 0
	case place < 0:
		return gatewayCount
	}
	before := 0
	for name := range m.book.regions {
		if name < region && name != m.cfg.Region {
			before++
		}
	}
	gateways := len(m.book.gateways)
	return (place + gateways - before%gateways) % gateways
}

// Wants says whether a version that a probed gateway holds of its region should
// be pulled from it: the gateway whose turn it is pulls at once what is newer
// than held, another only when that did not bring it. What is being pulled from
// one peer is not wanted from another, for a while.
func (m *Mesh) Wants(region string, offered Version) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.book.regions[region]
	if r == nil || r.vector == nil {
		return true
	}
	if offered.Compare(r.vector.Version) <= 0 {
		r.missedSince = time.Time{}
		return false
	}
	now := time.Now()
	if r.missedSince.IsZero() {
		r.missedSince = now
	}
	if now.Sub(r.missedSince) < 2*time.Duration(m.turn(region))*m.cfg.Timing.FanoutStep {
		return false
	}
	if offered.Compare(r.wanted) <= 0 && now.Sub(r.wantedAt) < pullAgain {
		return false
	}
	r.wanted, r.wantedAt = offered, now
	return true
}

// Since returns what a prober that holds a version of this region's vector needs
// to hold the newest, for its Offer: the changes, or all of it; nil when there
// is nothing.
func (m *Mesh) Since(have Version) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.book.regions[m.cfg.Region]
	if r == nil || r.vector == nil {
		return nil
	}
	return joinBundle(r.base.since(have))
}
