package edge

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"

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
	listener, err := s.transport.Listen(s.quicTLS(), s.quicConfig())
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
		Allow0RTT:             false, // a replayed request would be accepted twice
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
	c.headers.epoch, c.headers.most = s.epoch, s.cfg.Limits.StreamsPerConnection
	c.unwatch = context.AfterFunc(ctx, func() { s.gone(c) })
	return context.WithValue(ctx, connectionKey{}, c), nil
}

// gone is for a QUIC connection that has ended.
func (s *Server) gone(c *connection) {
	s.left(c)
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
		if c := s.established(conn); c.http3 != nil {
			s.served.Go(func() { s.serveConnection(c) })
		} else {
			s.streams.Add(1)
			s.served.Go(func() { s.serveMQTTStream(c) })
		}
	}
}

func (s *Server) established(conn *quic.Conn) *connection {
	c := connectionFrom(conn.Context())
	c.settled.Do(func() { s.metrics.handshake(protoQUIC, handshakeDone) })
	c.quic = conn
	c.cut = func() { closeQUIC(conn, http3.ErrCodeNoError, "revoked") }
	state := quicState(conn)
	if state.NegotiatedProtocol != protoMQTT {
		c.http3 = &http3.Server{
			Handler:        http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serveHTTP3Request(c, w, r) }),
			MaxHeaderBytes: s.cfg.Limits.MaxHeaderBytes,
			Logger:         s.log,
		}
	}
	s.track(c)
	s.shook(c, state)
	if conn.Context().Err() != nil { // it ended before it was tracked
		s.untrack(c)
	}
	return c
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
	for {
		conn, err := s.quic.Accept(s.life)
		if err != nil {
			return
		}
		connectionFrom(conn.Context()).settled.Do(func() { s.metrics.handshake(protoQUIC, handshakeDone) })
		s.metrics.refuse(reasonDraining)
		closeQUIC(conn, http3.ErrCodeNoError, "draining")
	}
}

func closeQUIC(conn *quic.Conn, code http3.ErrCode, why string) {
	_ = conn.CloseWithError(quic.ApplicationErrorCode(code), why)
}
