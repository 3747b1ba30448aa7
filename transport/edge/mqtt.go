package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport/mqtt"
)

// protoMQTT is the name of MQTT in ALPN.
const protoMQTT = "mqtt"

// serveMQTT serves a connection after its handshake, in the calling goroutine.
func (s *Server) serveMQTT(c *connection, conn net.Conn, cs *tls.ConnectionState) {
	c.begin()
	defer c.end()
	c.mqtt.Store(true)
	s.cfg.MQTT.Serve(s.link(c, conn, cs))
}

//go:noinline
func (s *Server) link(c *connection, conn net.Conn, cs *tls.ConnectionState) *mqtt.Link {
	l := &mqtt.Link{Conn: conn, TLS: cs, Known: func(d policy.Device) error { return s.known(c, d) }}
	if c.quic != nil && s.cfg.Limits.KeepAlive < 0 {
		l.Silence = s.cfg.Limits.IdleTimeout
	}
	return l
}

// serveMQTTPort serves MQTT alone, until its listener closes.
func (s *Server) serveMQTTPort() {
	conf := s.mqttTLS()
	s.acceptTCP(s.cfg.MQTTListener, func(known *tcpConn) {
		conn := tls.Server(known, conf)
		if state := s.shakeHands(known, conn); state != nil {
			s.serveMQTT(known.known, conn, state)
		}
	})
}

// lastWords is how long a QUIC connection stays after its MQTT stream ended, so
// that the device can read what was sent last.
const lastWords = 500 * time.Millisecond

// serveMQTTStream serves MQTT on the first stream that a device opens, as EMQX
// and NanoMQ do it. There is no other.
func (s *Server) serveMQTTStream(c *connection) {
	c.watched = c.unwatch() // what waits for the end takes memory, and here is somebody who does
	c.unwatch = nil
	stream := s.acceptStream(c)
	if stream == nil {
		s.endMQTTStream(c)
		return
	}
	c.begin()
	s.served.Add(1)
	go s.readMQTT(c, s.link(c, stream, quicState(c.quic)))
}

// readMQTT waits for hours, in a goroutine whose stack has nothing else on it: Go
// makes that 4 KiB where less than a quarter of 8 is used.
func (s *Server) readMQTT(c *connection, l *mqtt.Link) {
	s.cfg.MQTT.Serve(l)
	s.endMQTT(c)
}

//go:noinline
func (s *Server) endMQTT(c *connection) {
	defer s.served.Done()
	c.end()
	s.awaitLastWords(c)
	s.endMQTTStream(c)
}

func (s *Server) endMQTTStream(c *connection) {
	closeQUIC(c.quic, http3.ErrCodeNoError, "")
	if c.watched {
		s.gone(c)
	}
	s.streams.Done()
}

// acceptStream waits as long as it may, and while connections are taken. Like
// others here it keeps what it needs off the stack of a goroutine that will then
// wait for hours.
//
//go:noinline
func (s *Server) acceptStream(c *connection) *streamConn {
	ctx, cancel := context.WithTimeout(s.accepting, s.cfg.Limits.HeaderTimeout)
	defer cancel()
	stream, err := c.quic.AcceptStream(ctx)
	if err != nil {
		if ctx.Err() == context.DeadlineExceeded {
			s.metrics.refuse(reasonHeader)
		}
		return nil
	}
	c.headers.over(stream.StreamID())
	return &streamConn{stream, c.quic}
}

//go:noinline
func (s *Server) awaitLastWords(c *connection) {
	select {
	case <-c.quic.Context().Done():
	case <-s.life.Done():
	case <-time.After(lastWords):
	}
}

// drainMQTT lets devices go, and those on QUIC read their goodbye.
func (s *Server) drainMQTT(ctx context.Context) error {
	err := s.cfg.MQTT.Shutdown(ctx)
	s.streams.Wait() // they end within lastWords
	return err
}

// streamConn is a stream that is all there is of its connection.
type streamConn struct {
	*quic.Stream
	conn *quic.Conn
}

func (c *streamConn) LocalAddr() net.Addr  { return c.conn.LocalAddr() }
func (c *streamConn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// Read ends like a TCP connection's when the device closed the QUIC connection.
func (c *streamConn) Read(b []byte) (int, error) {
	n, err := c.Stream.Read(b)
	if closed, ok := errors.AsType[*quic.ApplicationError](err); ok && closed.Remote {
		err = net.ErrClosed
	}
	return n, err
}

// Close ends both directions of the stream.
func (c *streamConn) Close() error {
	c.CancelRead(0)
	return c.Stream.Close()
}
