package transport

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// tcpWire is an HTTP/2 connection with mutual TLS, one end or the other:
// client is nil for an accepted one.
type tcpWire struct {
	conn    *countedConn
	client  *http.ClientConn
	connect time.Duration // TCP handshake: one round trip
}

func (w *tcpWire) received() uint64        { return w.conn.reads.Load() }
func (w *tcpWire) patience() time.Duration { return 3 * (w.connect + 300*time.Millisecond) }
func (w *tcpWire) rtt() time.Duration      { return w.connect }
func (w *tcpWire) done() <-chan struct{}   { return w.conn.closed }
func (w *tcpWire) protocol() string        { return "tcp" }
func (w *tcpWire) close(error)             { w.conn.Close() }
func (w *tcpWire) refusing() bool          { return w.client != nil && w.client.Err() != nil }

func (w *tcpWire) roundTrip(req *http.Request, _ copyBuffers) (*http.Response, error) {
	if err := w.client.Reserve(); err != nil {
		closeBody(req)
		return nil, notSent(err)
	}
	var wrote atomic.Bool
	trace := &httptrace.ClientTrace{WroteHeaders: func() { wrote.Store(true) }}
	watched, body := withWatchedBody(req)
	resp, err := w.client.RoundTrip(watched.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err == nil {
		return resp, nil
	}
	if stream, ok := errors.AsType[http2.StreamError](err); !wrote.Load() || ok && stream.Code == http2.ErrCodeRefusedStream {
		return nil, notSent(err)
	}
	return nil, cmp.Or(body.failure(), err)
}

func (w *tcpWire) cause() error {
	if err := w.client.Err(); err != nil {
		return err
	}
	return net.ErrClosed
}

// dialTCP opens an HTTP/2 connection to the peer and returns its certificates.
// The peer may still refuse ours: only an answer shows that it did not.
func (m *Mesh) dialTCP(ctx context.Context, want Peer, addr string, cache tls.ClientSessionCache) (*tcpWire, []*x509.Certificate, error) {
	w := &tcpWire{}
	var chain []*x509.Certificate
	transport := &http.Transport{
		Protocols:              new(http.Protocols),
		DisableCompression:     true,
		MaxResponseHeaderBytes: int64(m.cfg.Limits.HeaderBytes),
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: m.timing.keepAlive, PingTimeout: idleTimeout},
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			start := time.Now()
			raw, err := m.cfg.TCPDial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			w.connect = time.Since(start)
			w.conn = newCountedConn(raw)
			conn := tls.Client(w.conn, m.clientTLS(want, cache, alpnTCP))
			if err := conn.HandshakeContext(ctx); err != nil {
				w.conn.Close()
				return nil, err
			}
			chain = conn.ConnectionState().PeerCertificates
			return conn, nil
		},
	}
	transport.Protocols.SetHTTP2(true)
	client, err := transport.NewClientConn(ctx, "https", addr)
	if err != nil {
		return nil, nil, fmt.Errorf("over TCP: %w", err)
	}
	w.client = client
	return w, chain, nil
}

// countedConn counts reads and tells when it is closed.
type countedConn struct {
	net.Conn
	reads  atomic.Uint64
	closed chan struct{}
	once   sync.Once
}

func newCountedConn(conn net.Conn) *countedConn {
	return &countedConn{Conn: conn, closed: make(chan struct{})}
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.reads.Add(1)
	}
	return n, err
}

func (c *countedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
