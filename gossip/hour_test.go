package gossip

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	farewell = 90 * time.Second // until a cut-off region's gateways are found dead
	reunion  = 30 * time.Second // from the heal until every region hears every other
)

// After an hour memberlist has long forgotten the dead on either side, and with
// them every way back.
func TestRegionCutOffForAnHourIsHeardAgainSoonAfterTheHeal(t *testing.T) {
	f := newFleet(t)
	air := &ether{net: f.net, seats: make(map[string]*seat)}
	f.mod = func(c *Config) {
		c.Timing = DefaultTiming()
		c.Transport = func(_ string, cfg *memberlist.Config) (memberlist.Transport, error) { return air.open(c.Name, cfg) }
	}
	synctest.Test(t, func(t *testing.T) {
		f.t = t
		f.meetInMemory()
		f.probeWithin(t, reunion, "the regions meet", func() bool { return f.allHeardSince(time.Time{}) && f.allSeeAlive(2) })

		lost, rest := f.split("us-1")
		f.net.move("island", threeRegions["us-1"]...)
		cut := time.Now()
		rest.probeWithin(t, farewell, "the others see its gateways leave", func() bool { return rest.seesAlive("us-1", 0) })
		t.Logf("its gateways were found dead after %s", time.Since(cut))
		rest.probeWithin(t, time.Hour, "the hour passes", func() bool { return time.Since(cut) >= 5*time.Minute })
		f.checkApart(lost, rest, cut)

		f.net.move("", threeRegions["us-1"]...)
		heal := time.Now()
		f.probeWithin(t, reunion, "every agent hears every region again", func() bool { return f.allHeardSince(heal) })
		t.Logf("every agent heard every region %s after the heal", time.Since(heal))
		f.probeWithin(t, reunion, "every agent sees all gateways alive", func() bool { return f.allSeeAlive(2) })
		t.Logf("all gateways were alive %s after the heal", time.Since(heal))
		f.checkStaysFresh()
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

// probeWithin carries vectors every second until the condition holds.
func (f *fleet) probeWithin(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	begun := time.Now()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for !holds() {
		if time.Since(begun) > limit {
			t.Fatalf("not within %s: %s", limit, what)
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

func (f *fleet) allSeeAlive(n int) bool {
	for region := range threeRegions {
		if !f.seesAlive(region, n) {
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
	const inFlight = time.Second
	for name, m := range f.meshes {
		for region, r := range m.State().Regions {
			apart := (m.cfg.Region == "us-1") != (region == "us-1")
			if apart && (r.Arrived.After(cut.Add(inFlight)) || r.VectorArrived.After(cut.Add(inFlight))) {
				f.t.Errorf("%s heard %s across the cut", name, region)
			}
			if !apart && (time.Since(r.Arrived) > 5*time.Second || time.Since(r.VectorArrived) > 5*time.Second) {
				f.t.Errorf("%s heard %s last %s ago, though nothing is between them", name, region, time.Since(r.Arrived))
			}
		}
	}
}

func (f *fleet) checkStaysFresh() {
	f.t.Helper()
	f.t.Log("oldest digest and vector, seen every second:")
	for range 30 {
		time.Sleep(time.Second)
		f.probe()
		var digest, vector time.Duration
		for _, m := range f.meshes {
			for _, r := range m.State().Regions {
				digest, vector = max(digest, time.Since(r.Arrived)), max(vector, time.Since(r.VectorArrived))
			}
		}
		f.t.Log(digest, vector)
	}
	_ = os.Stderr
	_ = slices.Max[[]int]
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
