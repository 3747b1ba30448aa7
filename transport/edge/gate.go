package edge

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"golang.org/x/time/rate"
)

// errRefused is the kind of errors that keep a connection out.
var errRefused = errors.New("connection refused")

// gate decides about new connections, before any cryptography.
type gate struct {
	limits      Limits
	metrics     *metrics
	unvalidated *rate.Limiter // QUIC handshakes without proof of address

	mu         sync.Mutex // guards what follows
	handshakes *rate.Limiter
	total      int
	bySource   map[netip.Addr]int
	draining   bool
}

func newGate(l Limits, m *metrics) *gate {
	return &gate{
		limits: l, metrics: m, bySource: map[netip.Addr]int{},
		unvalidated: newBucket(l.RetryAbove), handshakes: newBucket(l.HandshakeRate),
	}
}

func newBucket(perSecond float64) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond)))
}

// enter lets a connection in or says why not, with the reason counted. The
// sources that take too much are refused before they cost the others a token of
// the handshake rate.
func (g *gate) enter(from net.Addr, proto string) (leave func(), err error) {
	source := sourceOf(from)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.draining:
		return nil, g.refuse(reasonDraining)
	case g.total >= g.limits.ConnectionsPerAgent:
		return nil, g.refuse(reasonAgentFull)
	case g.bySource[source] >= g.limits.ConnectionsPerSource:
		return nil, g.refuse(reasonSourceFull)
	case !g.handshakes.Allow():
		return nil, g.refuse(reasonHandshakeRate)
	}
	g.total++
	g.bySource[source]++
	open := g.metrics.connections.WithLabelValues(proto)
	open.Inc()
	return sync.OnceFunc(func() {
		open.Dec()
		g.left(source)
	}), nil
}

func (g *gate) refuse(r reason) error {
	g.metrics.refuse(r)
	return fmt.Errorf("%w: %s", errRefused, r)
}

func (g *gate) left(source netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if g.bySource[source]--; g.bySource[source] == 0 {
		delete(g.bySource, source)
	}
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.draining = true
}

func (g *gate) open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.total
}

// sourceOf is what a limit per source counts by: an IPv4 address, or the /64
// that one IPv6 subscriber has to himself.
func sourceOf(a net.Addr) netip.Addr {
	var ip netip.Addr
	switch a := a.(type) {
	case *net.UDPAddr:
		ip = a.AddrPort().Addr()
	case *net.TCPAddr:
		ip = a.AddrPort().Addr()
	}
	ip = ip.Unmap().WithZone("")
	if !ip.Is6() {
		return ip
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return ip
	}
	return prefix.Addr()
}
