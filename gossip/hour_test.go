package gossip

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	farewell = 5 * time.Minute  // memberlist's longest suspicion and a round of its probes
	reunion  = 30 * time.Second // a dial that hangs, the longest wait to the next, a report
)

// rareReports is production's timing but for reports and rounds of gossip,
// which are ten times rarer (loads twenty): signing and checking an hour of them takes
// minutes.
func rareReports() Timing {
	t := DefaultTiming()
	for _, d := range []*time.Duration{
		&t.LAN.GossipInterval, &t.WAN.GossipInterval, &t.Tick, &t.Load, &t.LoadFresh, &t.Digest,
		&t.VectorChange, &t.VectorRepeat, &t.FanoutStep, &t.LeadSilence,
	} {
		*d *= 10
	}
	t.Load, t.LoadFresh = 2*t.Load, 2*t.LoadFresh
	return t
}

// After an hour memberlist has long forgotten the dead on either side, and with
// them every way back.
func TestRegionCutOffForAnHourIsHeardAgainSoonAfterTheHeal(t *testing.T) {
	f := newFleet(t)
	air := &ether{net: f.net, seats: make(map[string]*seat)}
	f.mod = func(c *Config) {
		c.Timing, c.Metrics = rareReports(), nil
		c.Transport = func(_ string, cfg *memberlist.Config) (memberlist.Transport, error) { return air.open(c.Name, cfg) }
	}
	synctest.Test(t, func(t *testing.T) {
		f.t = t
		t.Cleanup(func() { <-time.After(time.Minute) }) // memberlist's probes under way when an agent closes end by themselves
		f.meetInMemory()
		f.probeUntil(reunion, "the regions meet", func() bool { return f.allHeardSince(time.Time{}) && f.allSeeAlive() })

		lost, rest := f.split("us-1")
		f.net.move("island", threeRegions["us-1"]...)
		cut := time.Now()
		rest.probeUntil(farewell, "the others see its gateways leave", func() bool { return rest.seesAlive("us-1", 0) })
		t.Logf("its gateways were found dead after %s", time.Since(cut))
		rest.probeUntil(2*time.Hour, "an hour passes", func() bool { return time.Since(cut) >= time.Hour })
		f.checkApart(lost, rest, cut)

		f.net.move("", threeRegions["us-1"]...)
		heal := time.Now()
		f.probeUntil(reunion, "every agent hears every region and sees its gateways again", func() bool {
			return f.allHeardSince(heal) && f.allSeeAlive()
		})
		t.Logf("every agent heard every region %s after the heal", time.Since(heal))
		stale, checked := 3*rareReports().Digest, time.Now()
		f.probeUntil(time.Minute, "half a minute passes", func() bool {
			if !f.allHeardSince(time.Now().Add(-stale)) || !f.allSeeAlive() {
				t.Errorf("%s after the heal a region is not heard for %s, or its gateways are dead again", time.Since(heal), stale)
			}
			return time.Since(checked) >= 30*time.Second
		})
	})
}

// meetInMemory starts three regions that know one agent by configuration, all
// others by hearsay.
func (f *fleet) meetInMemory() {
	for _, names := range threeRegions {
		for _, name := range names {
			f.ports[name+"/lan"], f.ports[name+"/wan"] = 10_000+len(f.ports), 10_001+len(f.ports)
		}
	}
	for region, names := range threeRegions {
		for _, name := range names {
			f.start(region, name, []string{f.addr(names[0] + "/lan")}, []string{f.addr("eu-1-a/wan")})
		}
	}
}

// split parts the fleet in a region and the others.
func (f *fleet) split(region string) (one, others *fleet) {
	one, others = &fleet{t: f.t, meshes: make(map[string]*Mesh)}, &fleet{t: f.t, meshes: make(map[string]*Mesh)}
	for name, m := range f.meshes {
		if m.cfg.Region == region {
			one.meshes[name] = m
		} else {
			others.meshes[name] = m
		}
	}
	return one, others
}

// probeUntil carries vectors every second until the condition holds.
func (f *fleet) probeUntil(limit time.Duration, what string, holds func() bool) {
	f.t.Helper()
	begun := time.Now()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for !holds() {
		if time.Since(begun) > limit {
			f.t.Fatalf("not within %s: %s", limit, what)
		}
		<-ticker.C
		f.probe()
	}
}

func (f *fleet) allHeardSince(since time.Time) bool {
	for _, m := range f.meshes {
		if !knowsAll(m, len(threeRegions)) {
			return false
		}
		for _, r := range m.State().Regions {
			if r.Arrived.Before(since) || r.VectorArrived.Before(since) {
				return false
			}
		}
	}
	return true
}

func (f *fleet) allSeeAlive() bool {
	for region := range threeRegions {
		if !f.seesAlive(region, len(threeRegions[region])) {
			return false
		}
	}
	return true
}

// seesAlive is whether every agent counts n live gateways of the region.
func (f *fleet) seesAlive(region string, n int) bool {
	for _, m := range f.meshes {
		alive := 0
		for _, p := range m.State().Regions[region].Peers {
			if p.Alive {
				alive++
			}
		}
		if alive != n {
			return false
		}
	}
	return true
}

// checkApart holds at the end of the hour: both sides live on, neither has
// heard the other.
func (f *fleet) checkApart(lost, rest *fleet, cut time.Time) {
	f.t.Helper()
	if !rest.seesAlive("us-1", 0) || !rest.seesAlive("eu-1", 2) || !rest.seesAlive("eu-2", 2) {
		f.t.Error("the others do not see each other alive and the lost region dead")
	}
	if !lost.seesAlive("us-1", 2) || !lost.seesAlive("eu-1", 0) || !lost.seesAlive("eu-2", 0) {
		f.t.Error("the lost region does not see itself alive and the others dead")
	}
	const underWay = 30 * time.Second // reports from before the cut, still passed on
	recent := 3 * rareReports().Digest
	for name, m := range f.meshes {
		for region, r := range m.State().Regions {
			apart := (m.cfg.Region == "us-1") != (region == "us-1")
			first, last := r.Arrived, r.VectorArrived
			if first.After(last) {
				first, last = last, first
			}
			if apart && last.Sub(cut) > underWay {
				f.t.Errorf("%s heard %s across the cut, %s after it", name, region, last.Sub(cut))
			}
			if !apart && time.Since(first) > recent {
				f.t.Errorf("%s heard %s last %s ago, though nothing is between them", name, region, time.Since(first))
			}
		}
	}
}

// ether is a network in memory. What a cut stops gets no answer: packets are
// lost, dialling takes until its timeout.
type ether struct {
	net *network

	mu    sync.Mutex // guards seats
	seats map[string]*seat
}

// seat is one address on the ether, a pool's transport.
type seat struct {
	air         *ether
	agent, addr string
	ip          net.IP
	port        int
	packets     chan *memberlist.Packet
	streams     chan net.Conn
	closed      chan struct{}
}

type seatAddr string

func (seatAddr) Network() string  { return "memory" }
func (a seatAddr) String() string { return string(a) }

func (e *ether) open(agent string, cfg *memberlist.Config) (*seat, error) {
	s := &seat{
		air: e, agent: agent, addr: net.JoinHostPort(cfg.BindAddr, fmt.Sprint(cfg.BindPort)),
		ip: net.ParseIP(cfg.BindAddr), port: cfg.BindPort,
		packets: make(chan *memberlist.Packet, 1_024), streams: make(chan net.Conn), closed: make(chan struct{}),
	}
	e.net.register(s.addr, agent)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.seats[s.addr] != nil {
		return nil, fmt.Errorf("%s is taken", s.addr)
	}
	e.seats[s.addr] = s
	return s, nil
}

func (n *network) register(addr, agent string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.agent[addr] = agent
}

// reach is the seat at an address; nil when nothing answers there.
func (e *ether) reach(from, addr string) *seat {
	if !e.net.passes(from, addr) {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seats[addr]
}

func (s *seat) FinalAdvertiseAddr(string, int) (net.IP, int, error) { return s.ip, s.port, nil }
func (s *seat) PacketCh() <-chan *memberlist.Packet                 { return s.packets }
func (s *seat) StreamCh() <-chan net.Conn                           { return s.streams }

func (s *seat) WriteTo(b []byte, addr string) (time.Time, error) {
	now := time.Now()
	if to := s.air.reach(s.agent, addr); to != nil {
		select {
		case to.packets <- &memberlist.Packet{Buf: slices.Clone(b), From: seatAddr(s.addr), Timestamp: now}:
		default: // lost, as a full socket buffer loses it
		}
	}
	return now, nil
}

func (s *seat) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	expired := time.NewTimer(timeout)
	defer expired.Stop()
	to := s.air.reach(s.agent, addr)
	if to == nil {
		<-expired.C
		return nil, errors.New("no answer")
	}
	here, there := net.Pipe()
	select {
	case to.streams <- there:
		return here, nil
	case <-to.closed:
	case <-expired.C:
	}
	return nil, errors.Join(errors.New("nobody accepts"), here.Close(), there.Close())
}

func (s *seat) Shutdown() error {
	s.air.mu.Lock()
	defer s.air.mu.Unlock()
	delete(s.air.seats, s.addr)
	close(s.closed)
	return nil
}
