// Package edge is the server half for devices: HTTP/3 on UDP, HTTP/2 and
// HTTP/1.1 on TCP, one port number for all.
package edge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"

	"github.com/tidegate/tidegate/policy"
)

// ClientAuth says what the edge asks of a device's certificate.
type ClientAuth uint8

// The demands.
const (
	None     ClientAuth = iota // no certificate is asked for
	Optional                   // one may be presented, and then must verify
	Required                   // no connection without one
)

// Config is what Listen needs.
type Config struct {
	Conn              net.PacketConn
	TCP               net.Listener
	Certificate       func() *tls.Certificate
	ClientCAs         *x509.CertPool
	ClientAuth        ClientAuth
	Identify          func(tls.ConnectionState, *http.Request) (policy.Device, error)
	Handler           http.Handler
	Limits            Limits
	StatelessResetKey *quic.StatelessResetKey
	TokenGeneratorKey *quic.TokenGeneratorKey
	Logger            *slog.Logger
	Metrics           prometheus.Registerer
}

// Server is the edge of one agent.
type Server struct{}

// Listen checks the configuration and takes over its listeners.
func Listen(cfg Config) (*Server, error) { return &Server{}, nil }

// Start begins to serve.
func (s *Server) Start() {}

// Shutdown drains.
func (s *Server) Shutdown(ctx context.Context) error { return nil }

// Close ends everything at once.
func (s *Server) Close() error { return nil }

// Addr returns the UDP address.
func (s *Server) Addr() net.Addr { return nil }

// DeviceFrom returns the device behind a request.
func DeviceFrom(ctx context.Context) (policy.Device, bool) { return policy.Device{}, false }
