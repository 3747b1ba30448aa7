package edge

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync"

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
	if s.cfg.QUICLB != nil {
		s.transport.ConnectionIDGenerator = s.cfg.QUICLB
	}
	listener, err := s.transport.ListenEarly(s.quicTLS(), s.quicConfig())
	if err != nil {
		return errors.Join(err, s.transport.Close())
	}
	s.quic = listener
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
		KeepAlivePeriod:       max(0, l.KeepAlive),
		MaxIncomingStreams:    int64(l.StreamsPerConnection),
		MaxIncomingUniStreams: uniStreams,
		Allow0RTT:             s.cfg.EarlyData,
		Tracer:                s.trace,
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
	c := &connection{place: place{proto: protoQUIC}, at: info.RemoteAddr}
	if err := s.gate.enter(&c.place, c.at); err != nil {
		return nil, err
	}
	c.trusted.Store(s.authorities()) // what the handshake goes by is no older
	c.headers.epoch, c.headers.most = s.epoch, s.cfg.Limits.StreamsPerConnection
	c.unwatch = context.AfterFunc(ctx, func() { s.gone(c) })
	return context.WithValue(ctx, connectionKey{}, c), nil
}

// gone is for a QUIC connection that has ended.
func (s *Server) gone(c *connection) {
	s.left(c)
	if c.early.Load() && !c.isEarly() {
		s.settle(c)
	}
	c.settled.Do(func() { s.metrics.handshake(protoQUIC, handshakeFailed) })
}

func (s *Server) serveHTTP3() {
	defer close(s.servingHTTP3)
	for {
		conn, err := s.quic.Accept(s.accepting)
		if err != nil {
			if s.accepting.Err() == nil {
				s.log.Error("HTTP/3 listener stopped", "error", err)
			}
			return
		}
		s.served.Go(func() { s.serveQUIC(conn) })
	}
}

// serveQUIC serves a connection from when it may be served to its end.
func (s *Server) serveQUIC(conn *quic.Conn) {
	c := connectionFrom(conn.Context())
	c.quic = conn
	c.cut = func() { closeQUIC(conn, http3.ErrCodeNoError, "revoked") }
	if !s.mayBegin(c, conn) {
		return
	}
	switch {
	case !s.established(c, conn):
		s.metrics.refuse(reasonDraining)
		closeQUIC(conn, http3.ErrCodeNoError, "draining")
	case c.http3 != nil:
		s.serveConnection(c)
	default:
		s.serveMQTTStream(c)
	}
}

// mayBegin waits until the handshake is complete, or early data has come that may
// be looked at; false: neither will be.
func (s *Server) mayBegin(c *connection, conn *quic.Conn) bool {
	if s.cfg.EarlyData && broughtEarlyData(conn) {
		c.early.Store(true)
		return true
	}
	select {
	case <-conn.HandshakeComplete():
	case <-conn.Context().Done():
		return false
	case <-s.life.Done():
		closeQUIC(conn, http3.ErrCodeNoError, "closing")
		return false
	}
	s.settle(c)
	return true
}

// settle counts a handshake, once it is complete.
func (s *Server) settle(c *connection) {
	c.settled.Do(func() { s.metrics.handshake(protoQUIC, handshakeDone) })
}

// established makes a connection ready to be served; false: the edge drains.
func (s *Server) established(c *connection, conn *quic.Conn) bool {
	state := quicState(conn)
	if state.NegotiatedProtocol != protoMQTT {
		c.http3 = &http3.Server{
			Handler:        http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serveHTTP3Request(c, w, r) }),
			MaxHeaderBytes: s.cfg.Limits.MaxHeaderBytes,
			Logger:         s.log,
		}
	}
	if !s.join(c) {
		return false
	}
	s.shook(c, state)
	if conn.Context().Err() != nil { // it ended before it was tracked
		s.untrack(c)
	}
	return true
}

func (s *Server) serveConnection(c *connection) {
	if err := c.http3.ServeQUICConn(c.quic); err != nil {
		s.log.Debug("HTTP/3 connection ended", "remote", c.quic.RemoteAddr(), "error", err)
	}
	closeQUIC(c.quic, http3.ErrCodeNoError, "")
}

// turnAway closes connections whose handshake was under way when taking
// connections ended.
func (s *Server) turnAway() {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		conn, err := s.quic.Accept(s.life)
		if err != nil {
			return
		}
		all.Go(func() { s.serveQUIC(conn) })
	}
}

func closeQUIC(conn *quic.Conn, code http3.ErrCode, why string) {
	_ = conn.CloseWithError(quic.ApplicationErrorCode(code), why)
}
