package gossip

import (
	"context"
	"net"
	"strconv"
	"sync"
	"time"
)

const maxJoins = 8 // attempts at a time, for each pool

// rejoin tries, for ever, the remembered addresses that have no live member.
func (m *Mesh) rejoin(ctx context.Context) {
	var attempts sync.WaitGroup
	defer attempts.Wait()
	lan, wan := make(chan struct{}, maxJoins), make(chan struct{}, maxJoins)
	ticker := time.NewTicker(max(m.cfg.Timing.RejoinMin/2, 20*time.Millisecond))
	defer ticker.Stop()
	var strangers strangers
	for {
		m.startJoins(ctx, m.lan, m.lanBook, lan, &attempts)
		if strangers.due(m.State(), m.cfg.Region, &m.cfg.Timing, time.Now()) {
			attempts.Go(m.exchange)
		}
		if p := m.wan.Load(); p != nil {
			m.startJoins(ctx, p, m.wanBook, wan, &attempts)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-m.joinNow:
		}
	}
}

func (m *Mesh) startJoins(ctx context.Context, p *pool, book *addressBook, slots chan struct{}, attempts *sync.WaitGroup) {
	if m.left.Load() {
		return
	}
	now := time.Now()
	live, regions := p.liveAddresses()
	for addr, region := range live {
		book.sight(addr, region, true, now)
	}
	book.forget(now.Add(-m.cfg.Timing.Remember))
	skip := func(a *address) bool {
		if _, ok := live[a.addr]; ok {
			return true
		}
		// Of gateways known by hearsay one in a region suffices: gossip brings the
		// others. Those met before are tried even so, for they may have been cut
		// off together with others.
		return !a.configured && !a.met && regions[a.region]
	}
	for _, addr := range book.due(cap(slots)-len(slots), now, skip) {
		slots <- struct{}{}
		attempts.Go(func() {
			defer func() { <-slots }()
			m.tryJoin(ctx, p, addr, live)
			book.tried(addr, time.Now(), m.cfg.Timing.RejoinMin, m.cfg.Timing.RejoinMax)
		})
	}
}

func (m *Mesh) tryJoin(ctx context.Context, p *pool, addr string, live map[string]string) {
	for _, resolved := range m.resolve(ctx, addr) {
		if _, ok := live[resolved]; ok || ctx.Err() != nil {
			continue
		}
		_, err := p.list.Join([]string{resolved})
		m.metrics.joined(p.name, err)
		if err != nil {
			m.cfg.Logger.Debug("gossip join failed, will be tried again", "pool", p.name, "address", resolved, "error", err)
			continue
		}
		m.cfg.Logger.Info("gossip joined", "pool", p.name, "address", resolved)
	}
}

func (m *Mesh) resolve(ctx context.Context, addr string) []string {
	host, port, err := splitHostPort(addr)
	if err != nil {
		m.cfg.Logger.Warn("gossip address cannot be joined: use host:port", "address", addr, "error", err)
		return nil
	}
	if net.ParseIP(host) != nil {
		return []string{addr}
	}
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Timing.LAN.StreamTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		m.cfg.Logger.Debug("gossip address does not resolve, will be tried again", "address", addr, "error", err)
		return nil
	}
	resolved := make([]string, 0, len(ips))
	for _, ip := range ips {
		resolved = append(resolved, net.JoinHostPort(ip.IP.String(), strconv.Itoa(port)))
	}
	return resolved
}

// liveAddresses are those of the pool's live members, with their regions, and
// the regions that have one.
func (p *pool) liveAddresses() (addrs map[string]string, regions map[string]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	addrs, regions = make(map[string]string, len(p.peers)), make(map[string]bool)
	for _, peer := range p.peers {
		if peer.alive {
			addrs[peer.addr()] = peer.meta.Region
			regions[peer.meta.Region] = true
		}
	}
	return addrs, regions
}
