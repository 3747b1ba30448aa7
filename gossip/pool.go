package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-metrics"
	"github.com/hashicorp/memberlist"
)

const (
	poolLAN = "lan"
	poolWAN = "wan"

	// Copies of a digest each member passes on: this × log10(members+1).
	// memberlist's own messages use 4; digests are repeated twice a second.
	digestRetransmit = 2
)

// pool is one memberlist and what was learned through it.
type pool struct {
	name   string
	region string // the only one whose agents may join; empty: any
	self   string
	list   *memberlist.Memberlist
	queue  *memberlist.TransmitLimitedQueue
	live   atomic.Int64
	log    *logWriter

	meta    func() []byte
	deliver func(p *pool, frame []byte)
	bundle  func(join bool) []byte
	changed func() // members changed; must not block

	mu    sync.Mutex // guards peers and fresh
	peers map[string]*poolPeer
	fresh bool // peers changed since the last look

	leaveOnce sync.Once
}

// poolPeer is one agent seen in the pool. It is never changed, only replaced.
type poolPeer struct {
	node   memberlist.Node // a copy: memberlist changes its own under its lock
	meta   Meta
	life   uint64
	format uint64
	alive  bool
	since  time.Time // of alive
}

func (p *poolPeer) addr() string { return p.node.Address() }

// poolSetup is what a mesh gives each pool it opens.
type poolSetup struct {
	name   string
	label  string
	region string
	bind   Bind
	timing PoolTiming
	labels []metrics.Label
}

func (m *Mesh) openPool(s poolSetup) (*pool, error) {
	p := &pool{
		name: s.name, region: s.region, self: m.cfg.Name,
		meta: m.encodedMeta, deliver: m.deliver, bundle: m.bundle, changed: m.poke,
		peers: make(map[string]*poolPeer),
	}
	p.queue = &memberlist.TransmitLimitedQueue{
		NumNodes:       func() int { return int(p.live.Load()) },
		RetransmitMult: digestRetransmit,
	}
	cfg, err := m.memberlistConfig(s)
	if err != nil {
		return nil, fmt.Errorf("%s pool: %w", s.name, err)
	}
	p.log = newLogWriter(m.cfg.Logger, s.name)
	cfg.Logger = p.log.standard()
	cfg.Delegate, cfg.Events, cfg.Alive = p, p, p
	if p.list, err = m.createList(s, cfg); err != nil {
		return nil, fmt.Errorf("%s pool on %s: %w", s.name, s.bind.Addr, err)
	}
	return p, nil
}

func (m *Mesh) createList(s poolSetup, cfg *memberlist.Config) (*memberlist.Memberlist, error) {
	build := m.cfg.Transport
	if build == nil {
		build = func(_ string, cfg *memberlist.Config) (memberlist.Transport, error) { return NewTransport(cfg) }
	}
	inner, err := build(s.name, cfg)
	if err != nil {
		return nil, err
	}
	cfg.Transport = boundTransport(inner, s.timing.StreamTimeout)
	list, err := memberlist.Create(cfg)
	if err != nil {
		return nil, errors.Join(err, inner.Shutdown())
	}
	return list, nil
}

func (m *Mesh) memberlistConfig(s poolSetup) (*memberlist.Config, error) {
	cfg := memberlist.DefaultLANConfig()
	cfg.Name = m.cfg.Name
	cfg.Label = s.label
	host, port, err := splitHostPort(s.bind.Addr)
	if err != nil {
		return nil, err
	}
	if host == "" {
		host = "0.0.0.0"
	}
	cfg.BindAddr, cfg.BindPort = host, port
	cfg.AdvertisePort = port
	if err := advertise(cfg, s.bind.Advertise); err != nil {
		return nil, err
	}
	t := s.timing
	cfg.GossipInterval, cfg.GossipNodes = t.GossipInterval, t.GossipNodes
	cfg.ProbeInterval, cfg.ProbeTimeout = t.ProbeInterval, t.ProbeTimeout
	cfg.SuspicionMult, cfg.PushPullInterval = t.SuspicionMult, t.PushPull
	cfg.TCPTimeout, cfg.DeadNodeReclaimTime = t.StreamTimeout, t.DeadReclaim
	cfg.UDPBufferSize = 1300
	cfg.HandoffQueueDepth = 4096
	cfg.EnableCompression = false // signatures do not shrink, and LZW costs more CPU than it saves bytes
	cfg.Keyring = m.keyring
	cfg.MetricLabels = s.labels
	return cfg, nil
}

func advertise(cfg *memberlist.Config, addr string) error {
	if addr == "" {
		return nil
	}
	host, port, err := splitHostPort(addr)
	if err != nil {
		return err
	}
	ips, err := net.DefaultResolver.LookupIPAddr(context.Background(), host)
	if err != nil || len(ips) == 0 {
		return fmt.Errorf("advertised address %q: %w", addr, err)
	}
	cfg.AdvertiseAddr, cfg.AdvertisePort = ips[0].IP.String(), port
	return nil
}

// addr is the address the pool advertises.
func (p *pool) addr() string {
	if peer := p.peer(p.self); peer != nil {
		return peer.addr()
	}
	return ""
}

func (p *pool) peer(name string) *poolPeer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.peers[name]
}

// look copies the peers when they changed since the last look, or when force
// is set.
func (p *pool) look(force bool) (map[string]*poolPeer, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.fresh && !force {
		return nil, false
	}
	p.fresh = false
	peers := make(map[string]*poolPeer, len(p.peers))
	for name, peer := range p.peers {
		peers[name] = peer
	}
	return peers, true
}

// forget drops dead peers seen last before the given time.
func (p *pool) forget(before time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, peer := range p.peers {
		if !peer.alive && peer.since.Before(before) {
			delete(p.peers, name)
			p.fresh = true
		}
	}
}

// broadcast queues a digest; a newer one of the region replaces it.
func (p *pool) broadcast(region string, frame []byte) {
	p.queue.QueueBroadcast(&digestBroadcast{region: region, frame: frame})
}

func (p *pool) leave(timeout time.Duration) (err error) {
	p.leaveOnce.Do(func() { err = p.list.Leave(timeout) })
	return err
}

// close ends the pool; leave does nothing after it. One of memberlist's probes
// may go on for up to its interval, without sending anything.
func (p *pool) close() error {
	p.log.muted.Store(true)
	p.leaveOnce.Do(func() {})
	return p.list.Shutdown()
}

type digestBroadcast struct {
	region string
	frame  []byte
}

func (b *digestBroadcast) Name() string { return b.region }
func (b *digestBroadcast) Invalidates(other memberlist.Broadcast) bool {
	o, ok := other.(*digestBroadcast)
	return ok && o.region == b.region
}
func (b *digestBroadcast) Message() []byte { return b.frame }
func (b *digestBroadcast) Finished()       {}

func portOf(addr string) int {
	_, text, err := net.SplitHostPort(addr)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(text)
	return n
}
