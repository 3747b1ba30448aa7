package transport

import (
	"context"
	"crypto/x509"
	"time"
)

type kind uint8

const (
	tunnelKind kind = iota
	probeKind
)

// tracked is a connection, dialled or accepted, that the pulse looks after.
type tracked struct {
	peer     Peer
	kind     kind
	accepted bool
	chain    []*x509.Certificate
	wire     wire
	silence  time.Duration               // least that closes it; 0: never
	shutdown func(context.Context) error // of accepted tunnels
	tunnel   *Tunnel                     // of dialled ones

	since    time.Time
	received uint64        // pulse only
	quiet    time.Duration // pulse only
}

func (t *tracked) close(reason error) { t.wire.close(reason) }

// track starts looking after a connection; the caller closes it on error.
func (m *Mesh) track(t *tracked) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.trackLocked(t)
}

func (m *Mesh) trackLocked(t *tracked) error {
	if m.closed {
		return errMeshClosed
	}
	t.since = time.Now()
	t.received = t.wire.received()
	m.tracked[t] = struct{}{}
	return nil
}

// trackAccepted tracks a connection that a peer opened and returns the one
// that must give way to it, if any.
func (m *Mesh) trackAccepted(t *tracked) (oldest *tracked, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.draining && t.kind == tunnelKind {
		return nil, errDraining
	}
	count := 0
	for other := range m.tracked {
		if !other.accepted || other.kind != t.kind || other.peer != t.peer {
			continue
		}
		count++
		if oldest == nil || other.since.Before(oldest.since) {
			oldest = other
		}
	}
	if count < m.cfg.Limits.ConnectionsPerAgent {
		oldest = nil
	}
	return oldest, m.trackLocked(t)
}

func (m *Mesh) untrack(t *tracked) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.tracked, t)
}

func (m *Mesh) snapshot(dst []*tracked) []*tracked {
	m.mu.Lock()
	defer m.mu.Unlock()
	for t := range m.tracked {
		dst = append(dst, t)
	}
	return dst
}
