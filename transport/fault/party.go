package fault

import (
	"net"
	"net/netip"
	"sync"
)

// endpoint is one end of a packet; its region is looked up only when asked.
type endpoint struct {
	addr   netip.AddrPort
	sw     *Switch
	region string
	asked  bool
}

func (s *Switch) endpoint(addr netip.AddrPort) endpoint {
	return endpoint{addr: s.known.canonical(plain(addr)), sw: s}
}

func (e *endpoint) regionName() string {
	if !e.asked && e.sw.region != nil {
		e.region = e.sw.region(e.addr)
	}
	e.asked = true
	return e.region
}

// parties remembers the sockets that the decorators of a Switch own, and for
// which agent's address a dialled connection's own port stands.
type parties struct {
	mu      sync.RWMutex
	sockets map[netip.AddrPort]int
	standIn map[netip.AddrPort]netip.AddrPort
}

func (p *parties) own(addr netip.AddrPort, n int) {
	if addr = plain(addr); !addr.IsValid() || addr.Addr().IsUnspecified() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sockets == nil {
		p.sockets = map[netip.AddrPort]int{}
	}
	if p.sockets[addr] += n; p.sockets[addr] <= 0 {
		delete(p.sockets, addr)
	}
}

func (p *parties) decorated(addr netip.AddrPort) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.sockets[addr] > 0
}

func (p *parties) stand(port, self netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.standIn == nil {
		p.standIn = map[netip.AddrPort]netip.AddrPort{}
	}
	p.standIn[plain(port)] = plain(self)
}

func (p *parties) forget(port netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.standIn, plain(port))
}

func (p *parties) canonical(addr netip.AddrPort) netip.AddrPort {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if self, ok := p.standIn[addr]; ok {
		return self
	}
	return addr
}

func plain(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(addr.Addr().Unmap().WithZone(""), addr.Port())
}

func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.UDPAddr:
		return plain(a.AddrPort())
	case *net.TCPAddr:
		return plain(a.AddrPort())
	case nil:
		return netip.AddrPort{}
	}
	parsed, _ := netip.ParseAddrPort(a.String())
	return plain(parsed)
}
