// Package gossip keeps the agents of all regions informed of each other over
// hashicorp/memberlist: who lives, what each region can serve, and which
// regions are down. All agents of a region share a LAN pool; the first three
// by rendezvous hash, its gateways, also share a WAN pool with those of the
// other regions, and the first live one is the region's lead.
//
// Reports are signed: the gossip keys are shared by all, so encryption alone
// would let any agent speak for any region. See docs/gossip.md for the frames.
package gossip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"golang.org/x/time/rate"
)

const certificateAnswers = 100 // a second

// Mesh is one agent's part in the mesh. All methods are safe for concurrent
// use.
type Mesh struct {
	cfg     Config
	life    uint64 // tells this run of the agent from earlier ones
	keyring *memberlist.Keyring
	keyMu   sync.Mutex    // one change of the keyring at a time
	answers *rate.Limiter // certificates
	reports *rate.Limiter // bytes of reports that were asked for
	relays  *rate.Limiter // bytes passed on to a group
	metrics *meshMetrics

	signer atomic.Pointer[signer]
	meta   atomic.Pointer[Meta]
	load   atomic.Pointer[Load]
	state  atomic.Pointer[State]

	changed     chan struct{} // a new State
	wake        chan struct{} // something is due
	joinNow     chan struct{} // an address is new
	roleChanged chan struct{} // wanWanted
	metaChanged chan struct{}

	inbox     chan arrival
	inboxSize atomic.Int64 // bytes
	courier   *courier

	lan       *pool // set by Start
	wan       atomic.Pointer[pool]
	wanWanted atomic.Bool
	wanMu     sync.Mutex // guards opening and closing of the WAN pool, and the two below
	wanPort   int
	wanEnded  bool
	left      atomic.Bool
	lanBook   *addressBook
	wanBook   *addressBook

	mu   sync.Mutex // guards book
	book book

	lifecycle sync.Mutex // guards what follows
	started   time.Time
	stop      context.CancelFunc
	closed    bool
	workers   sync.WaitGroup
}

// New checks the configuration; nothing is bound before Start. Errors are of
// kind ErrConfig.
func New(cfg Config) (*Mesh, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	m := &Mesh{
		cfg: cfg, life: rand.Uint64(),
		answers: rate.NewLimiter(certificateAnswers, certificateAnswers),
		reports: rate.NewLimiter(answerBytes, answerBytes),
		relays:  rate.NewLimiter(relayedBytes, relayedBytes),
		metrics: newMeshMetrics(cfg.Name),
		changed: make(chan struct{}, 1), wake: make(chan struct{}, 1), joinNow: make(chan struct{}, 1),
		roleChanged: make(chan struct{}, 1), metaChanged: make(chan struct{}, 1),
		inbox:   make(chan arrival, inboxFrames),
		lanBook: newAddressBook(), wanBook: newAddressBook(),
		book: newBook(&cfg),
	}
	m.courier = newCourier(m.sendParcel)
	m.meta.Store(&cfg.Meta)
	m.load.Store(&Load{})
	m.state.Store(&State{})
	if err := m.SetSigner(cfg.Signer); err != nil {
		return nil, err
	}
	if len(cfg.Keyring) > 0 {
		ring, err := memberlist.NewKeyring(cfg.Keyring[1:], cfg.Keyring[0])
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		m.keyring = ring
	}
	return m, nil
}

// Start binds the LAN pool and starts the mesh; the WAN pool is bound when this
// agent becomes a gateway. On an error nothing is left running. A mesh starts
// once.
func (m *Mesh) Start() error {
	m.lifecycle.Lock()
	defer m.lifecycle.Unlock()
	if m.closed || m.stop != nil {
		return fmt.Errorf("%w: start: %w", ErrClosed, errRunning)
	}
	if err := m.metrics.register(m.cfg.Metrics, newStateCollector(m)); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	lan, err := m.openPool(m.lanSetup())
	if err != nil {
		m.metrics.unregister()
		return fmt.Errorf("start gossip: %w", err)
	}
	m.mu.Lock()
	m.lan, m.started = lan, time.Now()
	m.mu.Unlock()
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	for _, worker := range []func(context.Context){m.run, m.rejoin, m.keepWAN, m.courier.run, m.announce} {
		m.workers.Go(func() { worker(ctx) })
	}
	return nil
}

// Close stops everything the mesh started and waits for it. Others take this
// agent for dead after a while unless Leave was called before. Dialling an
// address that does not answer may hold it up for a stream timeout. It may be
// called more than once, and before Start.
func (m *Mesh) Close() error {
	m.lifecycle.Lock()
	defer m.lifecycle.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	if m.stop == nil {
		return nil
	}
	m.stop()
	err := errors.Join(m.lan.close(), m.endWAN()) // ends streams that workers wait for
	m.workers.Wait()
	m.metrics.unregister()
	return err
}

// Leave tells both pools that this agent goes, so that its roles pass on at
// once. It waits until a member heard of it, at most for the timeout in each
// pool; Close should follow.
func (m *Mesh) Leave(timeout time.Duration) error {
	m.lifecycle.Lock()
	defer m.lifecycle.Unlock()
	if m.closed || m.stop == nil {
		return fmt.Errorf("%w: leave", ErrClosed)
	}
	m.left.Store(true)
	var err error
	if wan := m.wan.Load(); wan != nil {
		err = wan.leave(timeout)
	}
	return errors.Join(err, m.lan.leave(timeout))
}

// Join remembers addresses ("host:port"; names are resolved at each attempt) of
// agents of this region and of gateways, or agents that may become gateways, of
// all regions. Those without a live member are tried for ever, from
// Timing.RejoinMin to Timing.RejoinMax apart.
func (m *Mesh) Join(lan, wan []string) {
	now := time.Now()
	m.lanBook.configure(lan, now)
	m.wanBook.configure(wan, now)
	signal(m.joinNow)
}

// Publish replaces this agent's load, which goes to the gateways at the next
// Timing.Load. A change of Draining is announced to all members as well.
// Errors are of kind ErrFrame and change nothing.
func (m *Mesh) Publish(load Load) error {
	if err := load.check(); err != nil {
		return err
	}
	before := m.load.Swap(&load)
	if before.Draining != load.Draining {
		signal(m.metaChanged)
	}
	return nil
}

// SetMeta replaces what others are told of this agent. Its name, region and
// group stay. Errors are of kind ErrConfig and change nothing.
func (m *Mesh) SetMeta(meta Meta) error {
	meta.Name, meta.Region, meta.Group = m.cfg.Name, m.cfg.Region, m.cfg.Group
	if err := meta.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	m.meta.Store(&meta)
	signal(m.metaChanged)
	return nil
}

// SetSigner replaces the certificate and key, for renewal without a restart.
// Errors are of kind ErrConfig and change nothing.
func (m *Mesh) SetSigner(s Signer) error {
	own, err := m.cfg.newSigner(s)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.book.certs.learn(own.id, own.der, time.Now()); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	m.signer.Store(own)
	return nil
}

// State returns the newest snapshot, never nil.
func (m *Mesh) State() *State { return m.state.Load() }

// Changed is signalled after each new State. It holds one signal: a reader
// that was busy finds one, however many states passed.
func (m *Mesh) Changed() <-chan struct{} { return m.changed }

// Vector returns this region's newest whole vector, signed, for probers of an
// earlier version, and the version it and later deltas amount to; nil when there
// is none. The frame must not be changed.
func (m *Mesh) Vector() (whole, newest Version, frame []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.book.regions[m.cfg.Region]
	if r == nil || r.vector == nil {
		return Version{}, Version{}, nil
	}
	return r.base.version, r.vector.Version, r.base.frame
}

// Offer hands over what a probe brought: another agent's Since, or Vector. It is
// verified, adopted when newer, and sent to the region's agents. Errors are of
// kind ErrFrame, ErrForged or ErrStale; hearing the held version again is no
// error.
func (m *Mesh) Offer(message []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lan == nil {
		return fmt.Errorf("%w: offer", ErrClosed)
	}
	message = bytes.Clone(message)
	frames := [][]byte{message}
	if isBundle(message) {
		frames = splitBundle(message)
	}
	var errs []error
	for _, frame := range frames {
		errs = append(errs, m.takeOffered(frame))
	}
	m.publishState()
	m.poke()
	return errors.Join(errs...)
}

func (m *Mesh) takeOffered(frame []byte) error {
	e, err := openEnvelope(frame)
	if err == nil && e.kind != kindVector && e.kind != kindDelta {
		err = refuse(dropMalformed, ErrFrame, "a %s was offered, only vectors are taken", e.kind)
	}
	if err != nil {
		m.metrics.drop(reasonOf(err))
		return err
	}
	return m.receive(arrival{frame: frame}, time.Now())
}

// Declare says which regions this gateway holds down: to every member of the
// LAN pool at once when that changes, and again every Timing.Verdict. It is
// ignored while this agent is no gateway.
func (m *Mesh) Declare(down []string) { m.claim(&m.book.declared, down) }

// Opine says which regions are silent to this gateway, to its fellows, every
// Timing.Opinion. It is ignored while this agent is no gateway.
func (m *Mesh) Opine(silent []string) { m.claim(&m.book.opined, silent) }

func (m *Mesh) claim(c *ownClaim, regions []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.book.role.gateway {
		return
	}
	c.set(regions, time.Now())
	if c.due {
		m.poke()
	}
}

// LANAddr is the address the LAN pool advertises; empty before Start.
func (m *Mesh) LANAddr() string {
	m.lifecycle.Lock()
	defer m.lifecycle.Unlock()
	if m.lan == nil {
		return ""
	}
	return m.lan.addr()
}

// WANAddr is the address the WAN pool advertises; empty unless this agent is a
// gateway.
func (m *Mesh) WANAddr() string {
	if wan := m.wan.Load(); wan != nil {
		return wan.addr()
	}
	return ""
}
