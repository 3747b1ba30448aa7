package transport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/quic-go/quic-go"
	"golang.org/x/time/rate"
)

// Mesh is one agent's side of the mesh. Safe for concurrent use.
type Mesh struct {
	cfg       MeshConfig
	timing    timing
	transport *quic.Transport
	listener  *quic.Listener
	tcp       *tcpServer // nil without TCPListener
	metrics   *meshMetrics
	buffers   sync.Pool // *[]byte, to copy request bodies
	accepted  atomic.Int64

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	tunnels atomic.Pointer[keepers]
	probes  atomic.Pointer[keepers]

	mu       sync.Mutex // guards what follows
	closed   bool
	draining bool
	tracked  map[*tracked]struct{}
}

// NewMesh starts serving on the configured sockets. On error nothing was
// started and the sockets are still the caller's.
func NewMesh(cfg MeshConfig) (*Mesh, error) { return newMesh(cfg, defaultTiming()) }

func newMesh(cfg MeshConfig, timing timing) (*Mesh, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	m := &Mesh{cfg: cfg, timing: timing, tracked: map[*tracked]struct{}{}}
	m.buffers.New = func() any { b := make([]byte, 16<<10); return &b }
	m.tunnels.Store(newKeepers(nil))
	m.probes.Store(newKeepers(nil))
	m.ctx, m.cancel = context.WithCancel(context.Background())
	if err := m.listen(); err != nil {
		m.cancel()
		return nil, fmt.Errorf("mesh: %w", err)
	}
	m.wg.Go(m.acceptLoop)
	m.wg.Go(m.pulseLoop)
	if m.tcp != nil {
		m.wg.Go(m.tcp.acceptLoop)
		m.wg.Go(m.tcp.serveLoop)
	}
	return m, nil
}

func (m *Mesh) listen() error {
	metrics, err := newMeshMetrics(m)
	if err != nil {
		return err
	}
	m.metrics = metrics
	limiter := rate.NewLimiter(rate.Limit(m.cfg.Limits.HandshakesPerSecond), 1+int(2*m.cfg.Limits.HandshakesPerSecond))
	m.transport = &quic.Transport{
		Conn:                m.cfg.Conn,
		StatelessResetKey:   m.cfg.StatelessResetKey,
		TokenGeneratorKey:   m.cfg.TokenGeneratorKey,
		VerifySourceAddress: m.sourceVerifier(limiter),
		ConnContext:         m.admitHandshake,
	}
	m.listener, err = m.transport.Listen(m.serverTLS(alpnTunnel, alpnProbe), m.serverQUIC())
	if err != nil {
		metrics.unregister()
		return errors.Join(err, m.transport.Close())
	}
	if m.cfg.TCPListener != nil {
		m.tcp = newTCPServer(m, m.cfg.TCPListener)
	}
	return nil
}

// Shutdown tells peers to send nothing new here (GOAWAY) and waits until the
// requests they have in flight are done or ctx ends; then it returns ctx's
// error, and those requests fail. Own tunnels and probes go on until Close.
func (m *Mesh) Shutdown(ctx context.Context) error {
	m.mu.Lock()
	m.draining = true
	var stops []func(context.Context) error
	for t := range m.tracked {
		if t.shutdown != nil {
			stops = append(stops, t.shutdown)
		}
	}
	if m.tcp != nil {
		stops = append(stops, m.tcp.server.Shutdown)
	}
	m.mu.Unlock()

	results := make(chan error, len(stops))
	for _, stop := range stops {
		go func() { results <- stop(ctx) }()
	}
	for range stops {
		select {
		case <-results: // its error is ctx's
		case <-ctx.Done():
			return fmt.Errorf("mesh: shut down: %w", ctx.Err())
		}
	}
	return ctx.Err()
}

// Close ends all connections and waits until the mesh's goroutines are done,
// handlers of tunnelled requests included; their contexts are cancelled.
func (m *Mesh) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	m.cancel()
	var closing sync.WaitGroup
	for t := range m.tracked {
		closing.Go(func() { t.close(errMeshClosed) })
	}
	m.mu.Unlock()

	closing.Wait()
	err := m.listener.Close()
	if m.tcp != nil {
		err = errors.Join(err, m.tcp.close())
	}
	m.wg.Wait()
	m.metrics.unregister()
	return errors.Join(err, m.transport.Close(), m.cfg.Conn.Close())
}

type peerKey struct{}

// PeerFrom returns who is at the other end of a request in Handler.
func PeerFrom(ctx context.Context) (Peer, bool) {
	peer, ok := ctx.Value(peerKey{}).(Peer)
	return peer, ok
}

func withPeer(ctx context.Context, peer Peer) context.Context {
	return context.WithValue(ctx, peerKey{}, peer)
}
