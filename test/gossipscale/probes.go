package main

import (
	"slices"
	"time"

	"github.com/tidegate/tidegate/gossip"
	"github.com/tidegate/tidegate/policy"
)

// What the agent's mesh probes do: a gateway asks two gateways of every other
// region which version they hold, every 50 ms, and pulls what is newer, one pull at
// a time from each and 100 ms apart. The answers are signs of life, from which it
// decides with policy.Liveness which regions are down, and tells its own.
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

	liveness *policy.Liveness
	watched  map[string][]string // peers, by region
}

type pulled struct {
	from  string
	frame []byte
}

func newProber(f *fleet, self *agent) *prober {
	return &prober{
		fleet: f, self: self, ready: make(map[string]time.Time), pulled: make(chan pulled, 1024),
		liveness: policy.NewLiveness(policy.DefaultLivenessConfig()),
	}
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
	s, now := p.self.mesh.State(), time.Now()
	watched := map[string][]string{}
	if s.IsGateway {
		for name, info := range s.Regions {
			if name != regionName(p.self.region) {
				watched[name] = policy.ProbeTargets(p.self.name, alive(info.Peers), probesPerRegion)
			}
		}
	}
	p.watch(watched, now)
	for name, peers := range watched {
		for _, peer := range peers {
			p.ask(name, p.fleet.byName[peer], s.Regions[name])
		}
	}
	p.decide(s, now)
}

func (p *prober) watch(watched map[string][]string, now time.Time) {
	for region := range p.watched {
		if _, still := watched[region]; !still {
			p.liveness.Watch(region, nil, now)
		}
	}
	for region, peers := range watched {
		p.liveness.Watch(region, peers, now)
	}
	p.watched = watched
}

// decide does what the agent does with signs of life.
func (p *prober) decide(s *gossip.State, now time.Time) {
	for _, claim := range s.Opinions {
		for region := range p.watched {
			p.liveness.Opinion(claim.From, region, slices.Contains(claim.Regions, region), claim.Arrived)
		}
	}
	fellows := slices.DeleteFunc(slices.Clone(s.Gateways), func(name string) bool { return name == p.self.name })
	p.liveness.Tick(now, fellows)
	if !s.IsGateway {
		return
	}
	var silent []string
	for region := range p.watched {
		if p.liveness.Silent(region) {
			silent = append(silent, region)
		}
	}
	slices.Sort(silent)
	p.self.mesh.Declare(p.liveness.Down())
	p.self.mesh.Opine(silent)
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

// ask probes a peer: the answer to what was asked a round trip ago is here now.
func (p *prober) ask(region string, peer *agent, info gossip.RegionInfo) {
	if !p.fleet.net.through(p.self.name, peer.name) {
		return
	}
	p.liveness.Heard(region, peer.name, time.Now())
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
		if !p.fleet.net.through(p.self.name, peer.name) {
			return
		}
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
