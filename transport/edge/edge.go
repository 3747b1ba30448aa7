// Package edge is the server half for devices: HTTP/3 on UDP, HTTP/2 and
// HTTP/1.1 on TCP, with the identity of the device, the limits that keep
// strangers from growing anything without bound, and the checks that let the
// handler trust the shape of a request.
//
// A request reaches the handler with a host, a path that begins with "/" and
// has no dot segments however spelled, no header that only the edge or the mesh
// may set, and neither CONNECT, TRACE nor Upgrade; everything else is answered
// 400 (431 for too many header fields) with application/problem+json.
package edge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"
	"golang.org/x/time/rate"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
	"github.com/tidegate/tidegate/transport/mqtt"
)

// ErrConfig is the kind of errors about a configuration that cannot be served.
var ErrConfig = errors.New("invalid edge configuration")

// ClientAuth says what the edge asks of a device's certificate.
type ClientAuth uint8

// The demands. The zero value is None.
const (
	None     ClientAuth = iota // no certificate is asked for
	Optional                   // one may be presented, and then must verify
	Required                   // no connection without one
)

// Config is what Listen needs. Handler, Certificate and at least one of Conn
// and TCP are required.
type Config struct {
	// Conn is the UDP socket for HTTP/3, in production a bare *net.UDPConn, so
	// that quic-go uses batches and segmentation offload. Nil: no HTTP/3.
	Conn net.PacketConn
	// TCP listens for HTTP/2 and HTTP/1.1. Nil: HTTP/3 only. TLS is added here.
	TCP net.Listener

	// Certificate returns the server certificate; it is called for every
	// handshake, so it can be replaced at any time.
	Certificate func() *tls.Certificate
	// ClientCAs returns the authorities of device certificates; needed unless
	// ClientAuth is None. It is called for every handshake, so they can be
	// replaced at any time, by another pool: one that was returned must not
	// change. Resumed connections are checked again; open ones are for Expel.
	ClientCAs  func() *x509.CertPool
	ClientAuth ClientAuth
	// TrustDomain is what SPIFFE IDs in device certificates must name.
	TrustDomain string
	// Names says by what device certificates name devices. Nil: as
	// transport.VerifyDevice says.
	Names *transport.DeviceNames

	// Identify tells the device behind a request; an error refuses the request
	// (503 where its kind is transport.ErrBusy, else 401, or 403 with a
	// certificate) and its text is only logged. With a
	// client certificate it is called once a connection, until it succeeds,
	// else for every request. It sees the request after forged headers are
	// gone. Nil: by certificate alone, and without one the device is unknown.
	// Called concurrently.
	Identify func(tls.ConnectionState, *http.Request) (policy.Device, error)
	// Revoked says that nothing is accepted from a device any more: neither
	// connections by its certificate, resumed ones included, nor requests. It is
	// asked for every handshake and for the first request of a connection; what
	// is open when the answer changes is for Expel. Nil: no device. Called
	// concurrently.
	Revoked func(policy.Device) bool
	// RevokedCertificate says the same of a certificate. It is asked for every one
	// that a handshake shows, and by Expel. Nil: none. Called concurrently.
	RevokedCertificate func(*x509.Certificate) bool
	Handler            http.Handler
	// MQTT serves connections of devices that speak MQTT: by ALPN ("mqtt"), on
	// QUIC on one stream; on TCP without ALPN by their first byte; over WebSocket
	// at /mqtt of HTTP/1.1. It stays the caller's, to be closed first.
	// Nil: not served.
	MQTT *mqtt.Server
	// MQTTListener takes MQTT alone, over TLS, on a port of its own. Nil: none.
	MQTTListener net.Listener
	// ProxyFrom are the balancers whose connections to TCP and MQTTListener begin
	// with a header of the PROXY protocol, version 2, which names the device:
	// limits, logs and requests go by that. They have HeaderTimeout for it, and
	// are refused without it. From others no header is read. Empty: from nobody.
	ProxyFrom []netip.Prefix
	// EarlyData takes requests by safe methods over HTTP/3 before a resumed
	// handshake is complete (0-RTT): GET, HEAD and OPTIONS without content. The
	// service is told by "Early-Data: 1" and may answer 425 (RFC 8470), which the
	// device gets. Others are served when the handshake is complete, one round trip
	// later. Early data has no forward secrecy, and who recorded it may be the first
	// to deliver it.
	EarlyData bool
	// QUICLB lets a layer-4 balancer route QUIC by connection ID. Nil: they are
	// random.
	QUICLB *QUICLB
	Limits Limits

	// StatelessResetKey is the agent's own, persisted and never shared; see
	// transport.LoadOrCreateResetKey. Nil: none are sent.
	StatelessResetKey *quic.StatelessResetKey
	// TokenGeneratorKey encrypts address-validation tokens; agents of a region
	// may share it. Nil: a random one.
	TokenGeneratorKey *quic.TokenGeneratorKey

	// Now is the time of day, by which certificates are valid; nil: time.Now.
	// Called concurrently.
	Now     func() time.Time
	Logger  *slog.Logger          // nil: no logs
	Metrics prometheus.Registerer // nil: not registered
}

func (c *Config) check() error {
	switch {
	case c.Conn == nil && c.TCP == nil:
		return fmt.Errorf("%w: neither a UDP socket nor a TCP listener", ErrConfig)
	case c.MQTTListener != nil && (c.MQTT == nil || c.TCP == nil):
		return fmt.Errorf("%w: a listener for MQTT without a server for it, or without TCP", ErrConfig)
	case c.Handler == nil:
		return fmt.Errorf("%w: no handler", ErrConfig)
	case c.Certificate == nil || c.Certificate() == nil:
		return fmt.Errorf("%w: no server certificate", ErrConfig)
	case c.ClientAuth > Required:
		return fmt.Errorf("%w: unknown client authentication %d", ErrConfig, c.ClientAuth)
	case c.ClientAuth != None && (c.ClientCAs == nil || c.ClientCAs() == nil):
		return fmt.Errorf("%w: client certificates are asked for, but no authority for them is given", ErrConfig)
	}
	if c.QUICLB != nil {
		if err := c.QUICLB.check(); err != nil {
			return err
		}
	}
	return errors.Join(checkProxyFrom(c.ProxyFrom), c.Limits.check())
}

// Server is the edge of one agent. Its methods are safe for concurrent use.
type Server struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	nobody  *x509.CertPool // authorities, where there are none
	gate    *gate
	altSvc  []string
	pace    *rate.Limiter // of the cryptography of handshakes
	dated   atomic.Pointer[second]

	transport *quic.Transport // nil without UDP
	quic      *quic.EarlyListener
	http      *http.Server // nil without TCP

	accepting       context.Context // ends when no more connections are taken
	stopAccepting   context.CancelFunc
	life            context.Context // ends with Close
	end             context.CancelFunc
	epoch           time.Time // start of the clock that bodies are watched by
	start, closing  sync.Once
	closed          error
	servingHTTP3    chan struct{}  // closed when the accept loop has ended
	served          sync.WaitGroup // QUIC connections
	streams         sync.WaitGroup // those of them that speak MQTT
	owned           sync.WaitGroup
	mu              sync.Mutex // guards connections
	connections     map[*connection]struct{}
	drainingStarted chan struct{}
}

// Listen checks the configuration and takes over its sockets, which Close and
// Shutdown close. On an error, of kind [ErrConfig] or from the metrics registry
// or the socket, they stay the caller's. Nothing is answered before Start.
func Listen(cfg Config) (*Server, error) {
	cfg.Limits = cfg.Limits.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, fmt.Errorf("edge metrics: %w", err)
	}
	s := &Server{
		cfg: cfg, log: cfg.Logger, metrics: m, nobody: x509.NewCertPool(), gate: newGate(cfg.Limits, m), pace: rate.NewLimiter(rate.Limit(cfg.Limits.HandshakeRate), 2), epoch: time.Now(),
		connections: map[*connection]struct{}{}, servingHTTP3: make(chan struct{}), drainingStarted: make(chan struct{}),
	}
	s.accepting, s.stopAccepting = context.WithCancel(context.Background())
	s.life, s.end = context.WithCancel(context.Background())
	if cfg.TCP != nil {
		s.http = s.newHTTPServer()
	}
	if cfg.Conn == nil {
		return s, nil
	}
	if err := s.listenQUIC(); err != nil {
		s.end()
		s.stopAccepting()
		m.unregister(cfg.Metrics)
		return nil, fmt.Errorf("listen for HTTP/3 on %s: %w", cfg.Conn.LocalAddr(), err)
	}
	return s, nil
}

// Start begins to serve and returns at once. Calling it again does nothing.
func (s *Server) Start() {
	s.start.Do(func() {
		if s.quic == nil {
			close(s.servingHTTP3)
		} else {
			s.owned.Go(s.serveHTTP3)
			s.owned.Go(s.lookAfter)
		}
		if s.http != nil {
			s.owned.Go(s.serveTCP)
		}
		if s.cfg.MQTTListener != nil {
			s.owned.Go(s.serveMQTTPort)
		}
	})
}

// Addr returns the UDP address, or the TCP address without UDP.
func (s *Server) Addr() net.Addr {
	if s.cfg.Conn != nil {
		return s.cfg.Conn.LocalAddr()
	}
	return s.cfg.TCP.Addr()
}

// Connections returns how many connections are open, handshakes included.
func (s *Server) Connections() int { return s.gate.open() }
