package inject

import (
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
)

// places say in which region an address is: by address and port, else by address
// alone where only one region has it. An agent is not forgotten when it is gone,
// for what a fault does to its packets goes on.
type places struct {
	mu  sync.Mutex // held while known changes
	now atomic.Pointer[known]
}

type known struct {
	ports map[netip.AddrPort]string
	hosts map[netip.Addr]string // "": of more than one region
}

// Learn notes where agents of regions are.
func (c *Conditions) Learn(found map[netip.AddrPort]string) {
	p := &c.places
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.now.Load()
	if old == nil {
		old = &known{}
	}
	next := &known{maps.Clone(old.ports), maps.Clone(old.hosts)}
	if next.ports == nil {
		next.ports, next.hosts = map[netip.AddrPort]string{}, map[netip.Addr]string{}
	}
	changed := false
	for addr, region := range found {
		changed = next.add(plain(addr), region) || changed
	}
	if changed {
		p.now.Store(next)
	}
}

func plain(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(addr.Addr().Unmap().WithZone(""), addr.Port())
}

func (k *known) add(addr netip.AddrPort, region string) (changed bool) {
	if was, seen := k.ports[addr]; seen && was == region {
		return false
	}
	k.ports[addr] = region
	host := addr.Addr()
	if was, seen := k.hosts[host]; seen && was != region {
		region = ""
	}
	k.hosts[host] = region
	return true
}

// regionOf an address; "" when nobody knows, as with a device's. What is bound to
// every address is this agent.
func (c *Conditions) regionOf(addr netip.AddrPort) string {
	k := c.places.now.Load()
	switch {
	case addr.Addr().IsUnspecified():
		return c.region
	case k == nil:
		return ""
	}
	if region, seen := k.ports[addr]; seen {
		return region
	}
	return k.hosts[addr.Addr()]
}
