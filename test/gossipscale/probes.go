package main

import (
	"time"

	"github.com/tidegate/tidegate/gossip"
	"github.com/tidegate/tidegate/policy"
)

// What the agent's mesh probes do, as far as vectors go: a gateway asks two
// gateways of every other region which version they hold, every 50 ms, and pulls
// what is newer, one pull at a time from each and 100 ms apart.
const (
	probeEvery      = 50 * time.Millisecond
	probesPerRegion = 2
	pullPause       = 100 * time.Millisecond
	pullOverhead    = 100 // QUIC, UDP and IP, both ways
)

type prober struct {
	fleet  *fleet
	self   *agent
	ready  map[string]time.Time // of peers, for the next pull
	pulled chan pulled
}

type pulled struct {
	from  string
	frame []byte
}

func newProber(f *fleet, self *agent) *prober {
	return &prober{fleet: f, self: self, ready: make(map[string]time.Time), pulled: make(chan pulled, 1024)}
}

func (p *prober) run(stop <-chan struct{}) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case got := <-p.pulled:
			p.ready[got.from] = time.Now().Add(pullPause)
			_ = p.self.mesh.Offer(got.frame) // refused ones are counted there
		case <-tick.C:
			p.probe()
		}
	}
}

func (p *prober) probe() {
	s := p.self.mesh.State()
	if !s.IsGateway {
		return
	}
	for name, info := range s.Regions {
		if name == regionName(p.self.region) {
			continue
		}
		for _, peer := range policy.ProbeTargets(p.self.name, alive(info.Peers), probesPerRegion) {
			p.ask(name, p.fleet.byName[peer], info)
		}
	}
}

func alive(peers []gossip.Peer) []string {
	var names []string
	for _, peer := range peers {
		if peer.Alive {
			names = append(names, peer.Name)
		}
	}
	return names
}

func (p *prober) ask(region string, peer *agent, info gossip.RegionInfo) {
	if time.Now().Before(p.ready[peer.name]) {
		return
	}
	_, offered, frame := peer.mesh.Vector()
	if frame == nil || !p.self.mesh.Wants(region, offered) {
		return
	}
	var have gossip.Version
	if info.Vector != nil {
		have = info.Vector.Version
	}
	p.ready[peer.name] = time.Now().Add(time.Minute) // until it is here
	time.AfterFunc(2*wanDelay, func() {
		frame := peer.mesh.Since(have)
		p.self.count(peer, len(frame))
		p.pulled <- pulled{peer.name, frame}
	})
}

// count books a pull on both agents.
func (a *agent) count(from *agent, frame int) {
	size := int64(frame + pullOverhead)
	a.received[pulls].Add(size)
	from.sent[pulls].Add(size)
}
