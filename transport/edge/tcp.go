package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// pingPatience is how long an HTTP/2 client may take to answer a ping.
const pingPatience = 15 * time.Second

func (s *Server) newHTTPServer() *http.Server {
	l := s.cfg.Limits
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Server{
		Handler:                      http.HandlerFunc(s.serveTCPRequest),
		TLSConfig:                    s.tcpTLS(),
		Protocols:                    &protocols,
		ReadHeaderTimeout:            l.HeaderTimeout, // the handshake's too
		IdleTimeout:                  l.IdleTimeout,
		MaxHeaderBytes:               l.MaxHeaderBytes,
		DisableGeneralOptionsHandler: true,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: l.StreamsPerConnection,
			SendPingTimeout:      l.BodyIdle, // finds peers that stop in the middle of a frame
			PingTimeout:          pingPatience,
		},
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnState:   s.tcpState,
		ConnContext: tcpContext,
	}
}

func (s *Server) serveTCP() {
	err := s.http.ServeTLS(&tcpAcceptor{s.cfg.TCP, s}, "", "")
	if !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("HTTP/2 and HTTP/1.1 listener stopped", "error", err)
	}
}

// tcpAcceptor lets connections in by the gate, before TLS.
type tcpAcceptor struct {
	net.Listener
	s *Server
}

func (a *tcpAcceptor) Accept() (net.Conn, error) {
	for {
		conn, err := a.Listener.Accept()
		if err != nil {
			return nil, err
		}
		leave, err := a.s.gate.enter(conn.RemoteAddr(), protoTCP)
		if err == nil {
			return a.known(conn, leave), nil
		}
		reset(conn)
	}
}

func (a *tcpAcceptor) known(conn net.Conn, leave func()) *tcpConn {
	c := &connection{proto: protoTCP, cut: func() { reset(conn) }}
	c.leave = func() {
		leave()
		a.s.untrack(c)
	}
	a.s.track(c)
	return &tcpConn{Conn: conn, known: c, idle: a.s.cfg.Limits.BodyIdle, epoch: a.s.epoch}
}

// reset closes without the lingering state that a flood would pile up.
func reset(conn net.Conn) {
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// tcpConn ends when its peer stops taking bytes.
type tcpConn struct {
	net.Conn
	known *connection
	idle  time.Duration
	epoch time.Time

	mu  sync.Mutex
	set time.Time // what SetWriteDeadline asked for
}

// Read ends the connection when the rest of a body has not come in time: what
// comes later must not be taken for a request.
func (c *tcpConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) && c.restIsLate() {
		_ = c.Conn.Close()
	}
	return n, err
}

func (c *tcpConn) restIsLate() bool {
	by := c.known.skipBy.Load()
	return by != 0 && int64(time.Since(c.epoch)) >= by
}

func (c *tcpConn) Write(b []byte) (int, error) {
	if err := c.Conn.SetWriteDeadline(c.writeBy()); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *tcpConn) writeBy() time.Time {
	by := time.Now().Add(c.idle)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.set.IsZero() && c.set.Before(by) {
		return c.set
	}
	return by
}

func (c *tcpConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	c.set = t
	c.mu.Unlock()
	return c.Conn.SetWriteDeadline(t)
}

func (c *tcpConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *tcpConn) Close() error {
	c.known.leave()
	return c.Conn.Close()
}

func tcpContext(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, knownTCP(conn))
}

func knownTCP(conn net.Conn) *connection {
	return conn.(*tls.Conn).NetConn().(*tcpConn).known
}

func (s *Server) tcpState(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateActive:
		knownTCP(conn).settled.Do(func() { s.metrics.handshake(protoTCP, handshakeDone) })
	case http.StateClosed:
		knownTCP(conn).settled.Do(func() { s.metrics.handshake(protoTCP, handshakeResult(conn.(*tls.Conn))) })
	}
}

func handshakeResult(conn *tls.Conn) string {
	if conn.ConnectionState().HandshakeComplete {
		return handshakeDone
	}
	return handshakeFailed
}
