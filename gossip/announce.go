package gossip

import (
	"context"
	"time"
)

const metaTimeout = 500 * time.Millisecond

// encodedMeta is what memberlist gossips of this agent.
func (m *Mesh) encodedMeta() []byte {
	meta := *m.meta.Load()
	meta.Draining = meta.Draining || m.load.Load().Draining
	return meta.encode(m.life)
}

// announce gossips changes of the metadata.
func (m *Mesh) announce(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.metaChanged:
		}
		for _, p := range []*pool{m.lan, m.wan.Load()} {
			if p == nil {
				continue
			}
			if err := p.list.UpdateNode(metaTimeout); err != nil {
				m.cfg.Logger.Debug("metadata goes out with the next gossip", "pool", p.name, "error", err)
			}
		}
	}
}

// bundle is what a state exchange carries beside the members: the operators'
// words and, when somebody joins, every region's newest digest with its
// certificate, from which a region whose agents all restarted learns its last
// term.
func (m *Mesh) bundle(join bool) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	frames := make([][]byte, 0, len(m.book.regions)+len(m.book.overrides))
	now := time.Now()
	for _, h := range m.book.overrides {
		frames = append(frames, h.encode(now))
	}
	if join {
		frames = m.appendDigests(frames)
	}
	return joinBundle(frames)
}

func (m *Mesh) appendDigests(frames [][]byte) [][]byte {
	for _, r := range m.book.regions {
		if r.digest == nil {
			continue
		}
		e, err := openEnvelope(r.digestFrame)
		if err != nil {
			continue
		}
		e.cert = m.certificateDER(e.key)
		frames = append(frames, e.encode())
	}
	return frames
}
