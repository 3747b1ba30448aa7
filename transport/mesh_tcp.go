package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// tcpServer serves the mesh over HTTP/2 where UDP is blocked. It does the
// handshakes itself, so that the HTTP server sees only peers that are let in.
type tcpServer struct {
	mesh     *Mesh
	listener net.Listener
	server   *http.Server
	ready    chan net.Conn // handshaken, on their way to server
	closed   chan struct{}
	once     sync.Once

	handshakes chan struct{} // one for each under way, up to its capacity
}

func newTCPServer(m *Mesh, listener net.Listener) *tcpServer {
	s := &tcpServer{mesh: m, listener: listener, ready: make(chan net.Conn), closed: make(chan struct{}),
		handshakes: make(chan struct{}, m.cfg.Limits.HandshakesTCP)}
	s.server = &http.Server{
		Handler:        m.withProbes(m.cfg.Handler),
		MaxHeaderBytes: m.cfg.Limits.HeaderBytes,
		Protocols:      new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: m.cfg.Limits.StreamsPerTunnel,
			SendPingTimeout:      idleTimeout / 2,
			PingTimeout:          idleTimeout / 2,
		},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			peer, _ := namedPeer(c.(*tls.Conn).ConnectionState().PeerCertificates[0]) // serveConn made sure
			return withPeer(ctx, peer)
		},
		ErrorLog: slog.NewLogLogger(m.cfg.Logger.Handler(), slog.LevelDebug),
	}
	s.server.Protocols.SetHTTP2(true)
	return s
}

// handshaken is the listener that server sees.
type handshaken struct{ *tcpServer }

func (s handshaken) Accept() (net.Conn, error) {
	select {
	case conn := <-s.ready:
		return conn, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

func (s handshaken) Addr() net.Addr { return s.listener.Addr() }

func (s handshaken) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *tcpServer) serveLoop() { _ = s.server.Serve(handshaken{s}) } // http.ErrServerClosed

func (s *tcpServer) acceptLoop() {
	for {
		conn, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, say
			s.mesh.cfg.Logger.Warn("mesh TCP accept", "error", err)
			select {
			case <-time.After(100 * time.Millisecond):
				continue
			case <-s.mesh.ctx.Done():
				return
			}
		}
		select {
		case s.handshakes <- struct{}{}:
			s.mesh.wg.Go(func() { s.serveConn(newCountedConn(conn)) })
		default:
			s.mesh.metrics.refused("handshakes")
			conn.Close()
		}
	}
}

func (s *tcpServer) serveConn(raw *countedConn) {
	defer raw.Close()
	conn, peer, ok := s.handshake(raw)
	if !ok || !s.mesh.reserve() {
		return
	}
	defer s.mesh.unreserve()
	state := conn.ConnectionState()
	t := &tracked{peer: peer, kind: tunnelKind, accepted: true, chain: state.PeerCertificates, wire: &tcpWire{conn: raw}}
	s.mesh.serveTracked(t, func() {
		select {
		case s.ready <- conn:
			<-raw.closed
		case <-s.closed:
		}
	})
}

// handshake says who is there. Strangers under way take no place of a peer.
func (s *tcpServer) handshake(raw *countedConn) (conn *tls.Conn, peer Peer, ok bool) {
	defer func() { <-s.handshakes }()
	conn = tls.Server(raw, s.mesh.serverTLS(alpnTCP))
	ctx, cancel := context.WithTimeout(s.mesh.ctx, 2*handshakeTimeout)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		s.mesh.cfg.Logger.Debug("mesh TCP handshake", "from", raw.RemoteAddr().String(), "error", err)
		return nil, Peer{}, false
	}
	state := conn.ConnectionState()
	peer, err := namedPeer(state.PeerCertificates[0])
	return conn, peer, err == nil && state.NegotiatedProtocol == alpnTCP
}

func (s *tcpServer) close() error {
	return errors.Join(s.listener.Close(), s.server.Close())
}
