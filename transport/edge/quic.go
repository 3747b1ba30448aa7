package edge

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// uniStreams is how many unidirectional streams a device may have: HTTP/3 needs
// three (control, QPACK encoder and decoder; RFC 9114 section 6.2), the rest is
// room for extensions and grease.
const uniStreams = 8

func (s *Server) listenQUIC() error {
	s.transport = &quic.Transport{
		Conn:                s.cfg.Conn,
		StatelessResetKey:   s.cfg.StatelessResetKey,
		TokenGeneratorKey:   s.cfg.TokenGeneratorKey,
		VerifySourceAddress: s.mustProveAddress,
		ConnContext:         s.admitQUIC,
	}
	listener, err := s.transport.Listen(s.quicTLS(), s.quicConfig())
	if err != nil {
		return errors.Join(err, s.transport.Close())
	}
	s.quic = listener
	s.http3 = &http3.Server{
		Handler:        http.HandlerFunc(s.serveRequest),
		MaxHeaderBytes: s.cfg.Limits.MaxHeaderBytes,
		Logger:         s.log,
	}
	if udp, ok := s.cfg.Conn.LocalAddr().(*net.UDPAddr); ok {
		s.altSvc = []string{`h3=":` + strconv.Itoa(udp.Port) + `"; ma=86400`}
	}
	return nil
}

func (s *Server) quicConfig() *quic.Config {
	l := s.cfg.Limits
	return &quic.Config{
		HandshakeIdleTimeout:  l.HeaderTimeout / 2, // quic-go gives the whole handshake twice that
		MaxIdleTimeout:        l.IdleTimeout,
		MaxIncomingStreams:    int64(l.StreamsPerConnection),
		MaxIncomingUniStreams: uniStreams,
		Allow0RTT:             false, // a replayed request would be accepted twice
	}
}

// mustProveAddress asks for a Retry when handshakes from unproven addresses come
// too fast. It is called for every new handshake without a token.
func (s *Server) mustProveAddress(net.Addr) bool {
	if s.gate.unvalidated.Allow() {
		return false
	}
	s.metrics.handshake(protoQUIC, handshakeRetry)
	return true
}

// admitQUIC runs for the first packet of a connection, before cryptography.
func (s *Server) admitQUIC(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	leave, err := s.gate.enter(info.RemoteAddr, protoQUIC)
	if err != nil {
		return nil, err
	}
	c := &connection{proto: protoQUIC, leave: leave}
	context.AfterFunc(ctx, func() {
		c.leave()
		s.untrack(c)
		c.settled.Do(func() { s.metrics.handshake(protoQUIC, handshakeFailed) })
	})
	return context.WithValue(ctx, connectionKey{}, c), nil
}

// acceptor hands established connections to the HTTP/3 server. When taking
// connections ends it says so; all it returned before are served by then.
type acceptor struct{ s *Server }

func (a acceptor) Accept(context.Context) (*quic.Conn, error) {
	conn, err := a.s.quic.Accept(a.s.accepting)
	if err != nil {
		return nil, err
	}
	a.s.established(conn)
	return conn, nil
}

func (a acceptor) Addr() net.Addr { return a.s.quic.Addr() }
func (a acceptor) Close() error   { return a.s.quic.Close() }

func (s *Server) established(conn *quic.Conn) {
	c := connectionFrom(conn.Context())
	c.settled.Do(func() { s.metrics.handshake(protoQUIC, handshakeDone) })
	c.quic = conn
	s.track(c)
	if conn.Context().Err() != nil { // it ended before it was tracked
		s.untrack(c)
	}
}

func (s *Server) serveHTTP3() {
	defer close(s.servingHTTP3)
	err := s.http3.ServeListener(acceptor{s})
	if s.accepting.Err() == nil {
		s.log.Error("HTTP/3 listener stopped", "error", err)
	}
}

// turnAway closes connections whose handshake was under way when taking
// connections ended.
func (s *Server) turnAway() {
	for {
		conn, err := s.quic.Accept(s.life)
		if err != nil {
			return
		}
		connectionFrom(conn.Context()).settled.Do(func() { s.metrics.handshake(protoQUIC, handshakeDone) })
		s.metrics.refuse(reasonDraining)
		closeQUIC(conn, "draining")
	}
}

func closeQUIC(conn *quic.Conn, why string) {
	_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), why)
}

// When draining, a connection goes once it was without requests for drainQuiet,
// by when its client has read the GOAWAY and got its answers.
const (
	drainQuiet = 500 * time.Millisecond
	drainTick  = 50 * time.Millisecond
)

// closeQuiet closes connections nobody uses; see Limits.IdleTimeout.
func (s *Server) closeQuiet() {
	tick := time.NewTicker(max(s.cfg.Limits.IdleTimeout/4, time.Millisecond))
	defer tick.Stop()
	draining := s.drainingStarted
	for {
		select {
		case <-s.life.Done():
			return
		case <-draining:
			draining = nil
			tick.Reset(drainTick)
		case now := <-tick.C:
			s.closeQuietAt(now, draining == nil)
		}
	}
}

func (s *Server) closeQuietAt(now time.Time, draining bool) {
	for _, c := range s.tracked() {
		quiet := c.quietFor(now)
		switch {
		case draining && quiet >= drainQuiet:
			closeQUIC(c.quic, "draining")
		case !draining && quiet >= s.cfg.Limits.IdleTimeout && !c.shown.Load():
			s.metrics.refuse(reasonQuiet)
			closeQUIC(c.quic, "no request")
		}
	}
}
