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

// newBucket lets a quarter of a second's worth through at once: a burst of more
// would keep the processors from everything else for as long as it lasts.
func newBucket(perSecond float64) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond/4)))
}

// place is what one connection takes up. The gate's lock guards it.
type place struct {
	proto  string
	source netip.Addr
	held   bool
}

// enter lets a connection in or says why not, with the reason counted. The
// sources that take too much are refused before they cost the others a token of
// the handshake rate.
func (g *gate) enter(p *place, from net.Addr) error {
	source := sourceOf(from)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.draining:
		return g.refuse(reasonDraining)
	case g.total >= g.limits.ConnectionsPerAgent:
		return g.refuse(reasonAgentFull)
	case g.full(source):
		return g.refuse(reasonSourceFull)
	case !g.handshakes.Allow():
		return g.refuse(reasonHandshakeRate)
	}
	g.total++
	g.bySource[source]++
	p.source, p.held = source, true
	g.metrics.connections.WithLabelValues(p.proto).Inc()
	return nil
}

func (g *gate) full(source netip.Addr) bool {
	return g.bySource[source] >= g.limits.ConnectionsPerSource
}

// move counts a connection where it is now, and says whether it was counted
// elsewhere. It is let in already: a source that has too many gets no new ones.
func (g *gate) move(p *place, to net.Addr) bool {
	source := sourceOf(to)
	g.mu.Lock()
	defer g.mu.Unlock()
	if !p.held || p.source == source {
		return false
	}
	g.put(p, source)
	return true
}

// admit is move for a connection that is not let in yet: a balancer has said
// whose it is.
func (g *gate) admit(p *place, device net.Addr) error {
	source := sourceOf(device)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case !p.held || p.source == source:
	case g.full(source):
		return g.refuse(reasonSourceFull)
	default:
		g.put(p, source)
	}
	return nil
}

func (g *gate) put(p *place, source netip.Addr) {
	g.forget(p.source)
	g.bySource[source]++
	p.source = source
}

// leave gives a place back, once.
func (g *gate) leave(p *place) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !p.held {
		return
	}
	p.held = false
	g.total--
	g.forget(p.source)
	g.metrics.connections.WithLabelValues(p.proto).Dec()
}

func (g *gate) forget(source netip.Addr) {
	if g.bySource[source]--; g.bySource[source] == 0 {
		delete(g.bySource, source)
	}
}

func (g *gate) refuse(r reason) error {
	g.metrics.refuse(r)
	return fmt.Errorf("%w: %s", errRefused, r)
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
