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
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
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
		ConnContext: tcpContext,
		ConnState:   restAsked,
	}
}

// serveTCP takes connections until the listener closes. Each is handed on after
// its handshake: to net/http, or to MQTT.
func (s *Server) serveTCP() {
	web := newHandedOver(s.cfg.TCP)
	s.owned.Go(func() {
		if err := s.http.Serve(web); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("HTTP/2 and HTTP/1.1 listener stopped", "error", err)
		}
	})
	defer web.end()
	s.acceptTCP(s.cfg.TCP, func(known *tcpConn) { s.greet(known, tls.Server(known, s.http.TLSConfig), web) })
}

// acceptAgain is how long the next connection waits after one that could not be
// taken: there was no file descriptor for it, say.
const acceptAgain = 100 * time.Millisecond

// acceptTCP lets connections in by the gate, before TLS, until the listener
// closes.
func (s *Server) acceptTCP(l net.Listener, serve func(*tcpConn)) {
	for failing := false; ; {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if failing != (err != nil) {
			failing = err != nil
			s.sayAccepting(l, err)
		}
		if err != nil {
			if !s.pause(acceptAgain) {
				return
			}
			continue
		}
		known := &tcpConn{Conn: conn, s: s, began: time.Now(), known: &connection{place: place{proto: protoTCP}, cut: func() { reset(conn) }}}
		if err := s.gate.enter(&known.known.place, conn.RemoteAddr()); err != nil {
			reset(conn)
			continue
		}
		known.known.trusted.Store(s.authorities()) // what the handshake goes by is no older
		s.track(known.known)
		s.owned.Go(func() {
			if s.introduce(known) {
				serve(known)
			}
		})
	}
}

func (s *Server) sayAccepting(l net.Listener, err error) {
	if err != nil {
		s.log.Error("TCP connections are not taken, trying on", "address", l.Addr(), "error", err)
		return
	}
	s.log.Info("TCP connections are taken again", "address", l.Addr())
}

// pause returns false when the server ends before.
func (s *Server) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-s.life.Done():
		return false
	}
}

// stateOf has the large copy on the heap: connections that wait for their next
// packet for hours keep what is on their stack.
//
//go:noinline
func stateOf(conn *tls.Conn) *tls.ConnectionState {
	state := conn.ConnectionState()
	return &state
}

// quicState is the same of a QUIC connection.
//
//go:noinline
func quicState(conn *quic.Conn) *tls.ConnectionState {
	state := conn.ConnectionState().TLS
	return &state
}

// shakeHands returns what came of it; nil: the connection is closed.
func (s *Server) shakeHands(known *tcpConn, conn *tls.Conn) *tls.ConnectionState {
	ctx, cancel := context.WithTimeout(s.life, s.cfg.Limits.HeaderTimeout)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		s.metrics.handshake(protoTCP, handshakeFailed)
		s.log.Debug("TLS handshake failed", "remote", conn.RemoteAddr(), "error", err)
		_ = known.Close()
		return nil
	}
	s.metrics.handshake(protoTCP, handshakeDone)
	known.shook.Store(true)
	state := stateOf(conn)
	s.shook(known.known, state)
	return state
}

// greet finds out what a client speaks.
func (s *Server) greet(known *tcpConn, conn *tls.Conn, web *handedOver) {
	switch state := s.shakeHands(known, conn); {
	case state == nil:
	case state.NegotiatedProtocol == protoMQTT:
		s.serveMQTT(known.known, conn, state)
	case state.NegotiatedProtocol == "" && s.cfg.MQTT != nil:
		s.guess(known, conn, state, web)
	default:
		web.give(conn)
	}
}

// guess tells MQTT from HTTP by the first byte, which is 0x10 in CONNECT and in
// no request.
func (s *Server) guess(known *tcpConn, conn *tls.Conn, state *tls.ConnectionState, web *handedOver) {
	const connect = 0x10
	peeked := &peekedConn{Conn: conn}
	_ = conn.SetReadDeadline(time.Now().Add(s.cfg.Limits.HeaderTimeout))
	if n, err := conn.Read(peeked.first[:]); n == 0 {
		if err != nil {
			_ = conn.Close()
		}
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	if peeked.first[0] == connect {
		s.serveMQTT(known.known, peeked, state)
		return
	}
	web.give(peeked)
}

// peekedConn is a TLS connection whose first byte was looked at.
type peekedConn struct {
	*tls.Conn
	first [1]byte
	given bool // by the one that reads
}

func (c *peekedConn) Read(b []byte) (int, error) {
	if c.given || len(b) == 0 {
		return c.Conn.Read(b)
	}
	c.given = true
	return copy(b, c.first[:]), nil
}

// handedOver is the listener of net/http: connections come to it after their
// handshake.
type handedOver struct {
	net.Listener
	conns chan net.Conn
	ended chan struct{}
	once  sync.Once
}

func newHandedOver(l net.Listener) *handedOver {
	return &handedOver{Listener: l, conns: make(chan net.Conn), ended: make(chan struct{})}
}

func (h *handedOver) give(conn net.Conn) {
	select {
	case h.conns <- conn:
	case <-h.ended:
		_ = conn.Close()
	}
}

func (h *handedOver) end() { h.once.Do(func() { close(h.ended) }) }

func (h *handedOver) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.ended:
		return nil, net.ErrClosed
	}
}

func (h *handedOver) Close() error {
	h.end()
	return h.Listener.Close()
}

// reset closes without the lingering state that a flood would pile up.
func reset(conn net.Conn) {
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// tcpConn ends when its peer stops taking bytes. It also counts the peers that
// were closed for a header that did not come, since net/http tells nobody.
type tcpConn struct {
	net.Conn
	s      *Server
	known  *connection
	began  time.Time
	device net.Addr // that a balancer names; nil: the other end is the device

	shook   atomic.Bool // hands
	asking  atomic.Bool // something has come since the last request
	aborted atomic.Bool // net/http wants to read no longer: no deadline of the peer's
	late    atomic.Bool // and counted

	mu  sync.Mutex
	set time.Time // what SetWriteDeadline asked for
}

func (c *tcpConn) RemoteAddr() net.Addr {
	if c.device != nil {
		return c.device
	}
	return c.Conn.RemoteAddr()
}

// Read ends the connection when the rest of a body has not come in time: what
// comes later must not be taken for a request.
func (c *tcpConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	switch {
	case err == nil:
		if !c.asking.Load() && c.known.active.Load() == 0 {
			c.asking.Store(true)
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.missed()
	}
	return n, err
}

// missed is for a deadline that has passed.
func (c *tcpConn) missed() {
	switch {
	case c.restIsLate():
		_ = c.Conn.Close()
	case c.asking.Load() && c.shook.Load() && !c.aborted.Load() && !c.known.framed.Load() && c.known.active.Load() == 0:
		c.isLate()
	}
}

func (c *tcpConn) hadItsTime() bool {
	l := c.s.cfg.Limits
	return time.Since(c.began) >= min(l.HeaderTimeout, l.IdleTimeout) && c.s.accepting.Err() == nil
}

func (c *tcpConn) isLate() {
	if !c.late.Swap(true) {
		c.s.metrics.refuse(reasonHeader)
	}
}

// restAsked notes that a request was answered, and the next may be waited for.
func restAsked(conn net.Conn, state http.ConnState) {
	if state == http.StateIdle {
		underTLS(conn).asking.Store(false)
	}
}

// SetReadDeadline tells deadlines of the peer's from the way net/http stops a read.
func (c *tcpConn) SetReadDeadline(t time.Time) error {
	c.aborted.Store(!t.IsZero() && t.Before(c.s.epoch))
	return c.Conn.SetReadDeadline(t)
}

func (c *tcpConn) restIsLate() bool {
	by := c.known.skipBy.Load()
	return by != 0 && int64(time.Since(c.s.epoch)) >= by
}

func (c *tcpConn) Write(b []byte) (int, error) {
	if err := c.Conn.SetWriteDeadline(c.writeBy()); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *tcpConn) writeBy() time.Time {
	by := time.Now().Add(c.s.cfg.Limits.BodyIdle)
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

// Close counts who has shaken hands and asked for nothing in all its time: on
// HTTP/2 that is how a header ends that does not come.
func (c *tcpConn) Close() error {
	if c.shook.Load() && c.known.requests.Load() == 0 && c.hadItsTime() {
		c.isLate()
	}
	c.s.left(c.known)
	return c.Conn.Close()
}

func tcpContext(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, underTLS(conn).known)
}

// underTLS takes a *tls.Conn, or one that was peeked at.
func underTLS(conn net.Conn) *tcpConn {
	return conn.(interface{ NetConn() net.Conn }).NetConn().(*tcpConn)
}
