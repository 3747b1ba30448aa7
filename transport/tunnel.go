package transport

import (
	"net/http"
	"time"
)

// Tunnel is one live connection to a peer. A Tunnel that broke stays broken;
// Mesh.Tunnel returns its successor.
type Tunnel struct{}

// Peer returns who is at the other end.
func (t *Tunnel) Peer() Peer { return Peer{} }

// Live reports whether new requests may be sent.
func (t *Tunnel) Live() bool { return false }

// InFlight returns the requests whose response body is not read to its end or
// closed yet.
func (t *Tunnel) InFlight() int { return 0 }

// RTT returns the smoothed round-trip time, 0 when not measured.
func (t *Tunnel) RTT() time.Duration { return 0 }

// RoundTrip sends one request; URL.Scheme must be "https", Host may be
// anything. Bodies stream both ways, trailers too. It follows the contract of
// http.RoundTripper; the response body must be closed. Errors are of kind
// ErrNotSent or ErrTunnelLost, unless the request's context ended first
// (context.Cause) or the request itself is malformed. The same kinds come from
// reading the response body.
func (t *Tunnel) RoundTrip(req *http.Request) (*http.Response, error) { return nil, ErrNotSent }
