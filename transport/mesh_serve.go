package transport

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/time/rate"
)

const (
	codeNoError       = quic.ApplicationErrorCode(http3.ErrCodeNoError)
	codeExcessiveLoad = quic.ApplicationErrorCode(http3.ErrCodeExcessiveLoad)
	codeRefused       = quic.ApplicationErrorCode(http3.ErrCodeGeneralProtocolError)
)

var (
	errMeshClosed = fmt.Errorf("%w: this agent closes", ErrClosed)
	errDraining   = errors.New("this agent drains")
	errSuperseded = errors.New("superseded by a newer connection of the same agent")
	errSilent     = errors.New("peer is silent")
	errRevoked    = errors.New("peer's certificate is not accepted any more")
	errAbandoned  = errors.New("region abandoned")
	errTooMany    = errors.New("too many connections")
)

// sourceVerifier asks unproven addresses for a QUIC Retry (RFC 9000 section
// 8.1.2) above the handshake rate.
func (m *Mesh) sourceVerifier(limiter *rate.Limiter) func(net.Addr) bool {
	return func(net.Addr) bool {
		if limiter.Allow() {
			return false
		}
		m.metrics.refused("retry")
		return true
	}
}

// admitHandshake bounds the connections that strangers may have open or under
// way.
func (m *Mesh) admitHandshake(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
	if !m.reserve() {
		return nil, errTooMany
	}
	context.AfterFunc(ctx, m.unreserve)
	return ctx, nil
}

func (m *Mesh) reserve() bool {
	if m.accepted.Add(1) <= int64(m.cfg.Limits.Connections) {
		return true
	}
	m.unreserve()
	m.metrics.refused("connections")
	return false
}

func (m *Mesh) unreserve() { m.accepted.Add(-1) }

func (m *Mesh) acceptLoop() {
	for {
		conn, err := m.listener.Accept(m.ctx)
		if err != nil {
			return // closed
		}
		m.wg.Go(func() { m.serveConn(conn) })
	}
}

func (m *Mesh) serveConn(conn *quic.Conn) {
	state := conn.ConnectionState().TLS
	peer, err := namedPeer(state.PeerCertificates[0])
	if err != nil {
		conn.CloseWithError(codeRefused, "no identity")
		return
	}
	t := &tracked{peer: peer, chain: state.PeerCertificates, wire: &quicWire{conn: conn}, accepted: true}
	if state.NegotiatedProtocol == alpnProbe {
		t.kind = probeKind
		m.serveTracked(t, func() { m.serveProbes(conn, peer) })
		return
	}
	t.kind = tunnelKind
	server := m.tunnelServer(peer)
	t.shutdown = server.Shutdown
	m.serveTracked(t, func() {
		if err := server.ServeQUICConn(conn); err != nil {
			m.cfg.Logger.Debug("mesh tunnel ended", "peer", peer.String(), "error", err)
		}
	})
}

// tunnelServer is one server a connection: http3.Server counts its connections
// in a way that does not bear them coming while others leave at shutdown.
func (m *Mesh) tunnelServer(peer Peer) *http3.Server {
	return &http3.Server{
		Handler:        m.cfg.Handler,
		MaxHeaderBytes: m.cfg.Limits.HeaderBytes,
		ConnContext:    func(ctx context.Context, _ *quic.Conn) context.Context { return withPeer(ctx, peer) },
		Logger:         m.cfg.Logger,
	}
}

// serveTracked runs serve while the connection is tracked, unless it is
// refused; the oldest connection of the same agent gives way.
func (m *Mesh) serveTracked(t *tracked, serve func()) {
	oldest, err := m.trackAccepted(t)
	if err != nil {
		t.close(err)
		return
	}
	defer m.untrack(t)
	if oldest != nil {
		m.metrics.refused("superseded")
		oldest.close(errSuperseded)
	}
	serve()
	t.close(nil)
}
