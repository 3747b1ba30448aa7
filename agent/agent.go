// Package agent wires one Tidegate agent together: it joins the catalog,
// gossip and liveness into a view, takes messages from devices, local services
// and other regions, and sends each where its policy says.
package agent

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/catalog"
	"github.com/tidegate/tidegate/agent/config"
	"github.com/tidegate/tidegate/agent/inject"
	"github.com/tidegate/tidegate/agent/upstream"
	"github.com/tidegate/tidegate/gossip"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
	"github.com/tidegate/tidegate/transport/authhook"
	"github.com/tidegate/tidegate/transport/edge"
	"github.com/tidegate/tidegate/transport/events"
	"github.com/tidegate/tidegate/transport/mqtt"
	"github.com/tidegate/tidegate/transport/password"
	"github.com/tidegate/tidegate/transport/token"
)

// Options are what an agent takes beside its configuration.
type Options struct {
	Version string       // of the program, told to peers; at most 32 bytes
	Logger  *slog.Logger // default: discard
	Access  *slog.Logger // access log; default: none
	Network Network      // decorators of its sockets; zero in production
	Faults  admin.Faults // injects faults for the control API; nil: what the configuration says
	Exit    func()       // ends the process without a word, for a fault; default: SIGKILL to itself

	// Reread reads the configuration again, for a reload; nil: what it says stays.
	Reread func() (*config.Config, error)
}

// Agent is one agent of the mesh. New binds its sockets, Start sets it going,
// Drain lets it finish, Close ends it.
type Agent struct {
	cfg     *config.Config
	opts    Options
	log     *slog.Logger
	self    transport.Peer
	metrics *metrics
	reg     *prometheus.Registry
	access  accessLog

	sockets   *sockets
	mesh      *transport.Mesh
	gossip    *gossip.Mesh
	catalog   catalog.Catalog
	edge      *edge.Server
	mqtt      *mqtt.Server
	events    *events.Server // of devices that listen over HTTP
	devices   *devices
	mover     mover
	local     []*localServer // admin, ready and egress
	egress    *localServer   // of local; nil: off
	upstream  *upstream.Client
	creds     *transport.Credentials
	resetKey  *quic.StatelessResetKey
	tokenKey  *quic.TokenGeneratorKey
	edgeTLS   atomic.Pointer[config.Identity]
	names     *transport.DeviceNames // nil: the default
	rates     policy.Rates
	tokens    *token.Verifier // nil: devices show none
	passwords *password.File  // nil: none
	jwks      *token.Keys     // of tokens
	hook      *authhook.Hook  // nil: none
	devToken  *sharedToken    // nil, but in development
	denied    denyList

	view      atomic.Pointer[policy.View]
	policies  *policies
	instances *policy.InstanceTable
	spill     *policy.Spill // of the refresh loop
	liveness  *policy.Liveness
	retries   *policy.RetryBudget

	conditions *inject.Conditions
	faults     *faults // nil: it takes none
	operator   string  // token that faults need

	admissions *admissions
	batches    *batches
	buffers    sync.Pool

	began    time.Time // set by Start
	started  atomic.Bool
	draining atomic.Bool
	turning  sync.Mutex   // held from changing draining until the others were told
	active   atomic.Int64 // messages being handled, from devices and from the mesh

	// Used by the refresh loop alone.
	rtt         steadyRTT
	firstRegion map[string]string
	published   time.Time

	// Used by the prober's loop alone.
	probed  []transport.Endpoint
	watched map[string][]string
	known   map[string]bool // regions that liveness holds something of

	life   context.Context // ends with Close
	cancel context.CancelFunc
	loops  sync.WaitGroup
	closed sync.Once
}

// New checks everything the configuration names, opens every socket and loads
// the policy. On error nothing stays open and nothing was started; what a
// person got wrong is of kind policy.ErrInvalid or config.ErrInvalid.
func New(ctx context.Context, cfg *config.Config, opts Options) (*Agent, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Exit == nil {
		opts.Exit = crash
	}
	reg := prometheus.NewRegistry()
	a := &Agent{
		cfg:         cfg,
		opts:        opts,
		log:         opts.Logger.With("agent", cfg.Name, "region", cfg.Region),
		reg:         reg,
		access:      accessLog{logger: opts.Access, sample: cfg.Log.Access.Sample},
		upstream:    upstream.New(upstream.Config{MaxIdlePerInstance: cfg.Limits.UpstreamIdle}),
		instances:   policy.NewInstanceTable(),
		spill:       policy.NewSpill(policy.DefaultSpillConfig()),
		liveness:    policy.NewLiveness(policy.DefaultLivenessConfig()),
		retries:     policy.NewRetryBudget(time.Now()),
		rtt:         steadyRTT{},
		firstRegion: map[string]string{},
		known:       map[string]bool{},
	}
	a.life, a.cancel = context.WithCancel(context.WithoutCancel(ctx))
	a.devices, a.mover.agent = newDevices(a), a
	a.conditions = inject.NewConditions(cfg.Name, cfg.Region, opts.Exit)
	a.denied.set(cfg.TLS.Mesh.Deny)
	a.metrics = newMetrics(reg, &a.active)
	a.admissions = newAdmissions(a.metrics.shed)
	a.batches = newBatches(a.metrics.batches)
	reg.MustRegister(a.admissions, newFaultMetrics(a))
	a.buffers.New = func() any { return new([copyBuffer]byte) }
	a.view.Store(&policy.View{Agent: cfg.Name, Region: cfg.Region, Group: cfg.Group})
	if err := a.assemble(ctx); err != nil {
		_ = a.Close()
		return nil, err
	}
	return a, nil
}

// Start sets the agent going, once. It does not wait for Consul or for peers:
// they are found whenever they are there. On error, of kind ErrSocket when an
// address of gossip is taken, nothing was started; Close releases the rest.
func (a *Agent) Start(context.Context) error {
	if err := a.startGossip(); err != nil {
		return err
	}
	ctx := a.life
	a.began = time.Now()
	a.started.Store(true)
	a.gossip.Join(a.cfg.Gossip.RetryJoin, a.cfg.Gossip.RetryJoinWAN)
	a.refresh(time.Now())
	a.spawn(func() { a.refreshLoop(ctx) })
	a.spawn(func() { a.admissions.run(ctx, a.view.Load) })
	a.spawn(func() { a.metrics.run(ctx, a.view.Load) })
	a.spawn(func() { a.joinLoop(ctx) })
	a.spawn(func() { a.devices.run(ctx) })
	a.spawn(func() { a.policies.follow(ctx) })
	a.spawn(func() {
		if err := a.catalog.Run(ctx); err != nil {
			a.log.Error("catalog stopped", "error", err)
		}
	})
	a.spawn(func() { a.register(ctx) })
	if a.jwks != nil {
		a.spawn(func() { a.jwks.Run(ctx) })
	}
	if a.passwords != nil {
		a.spawn(func() { watchFile(ctx, a.cfg.Identity.Passwords, a.log, a.reloadPasswords) })
	}
	if path := a.cfg.TLS.Edge.CRL; path != "" {
		a.spawn(func() { watchFile(ctx, path, a.log, a.reloadEdge) })
	}
	for _, s := range a.local {
		a.spawn(s.serve)
	}
	if a.faults != nil {
		a.spawn(a.faults.serve)
	}
	a.edge.Start()
	a.log.Info("agent started", "version", a.opts.Version, "edge", a.EdgeAddr(), "mesh", a.MeshAddr(),
		"lan", a.gossip.LANAddr(), "admin", a.AdminAddr())
	return nil
}

func (a *Agent) startGossip() error {
	err := a.gossip.Start()
	if err == nil || errors.Is(err, gossip.ErrClosed) || errors.Is(err, gossip.ErrConfig) {
		return err
	}
	return socketError("listeners.lan", a.cfg.Listeners.LAN.Addr, err)
}

func (a *Agent) spawn(f func()) {
	a.loops.Add(1)
	go func() {
		defer a.loops.Done()
		f()
	}()
}

// joinLoop asks the catalog for agents to gossip with, for ever.
func (a *Agent) joinLoop(ctx context.Context) {
	every := 2 * time.Second
	for {
		lan, wan, err := a.catalog.Peers(ctx)
		if err != nil {
			a.log.Debug("peers not all found", "error", err)
		}
		a.gossip.Join(lan, wan)
		select {
		case <-ctx.Done():
			return
		case <-time.After(every):
		}
		every = min(every*2, 30*time.Second)
	}
}

func (a *Agent) register(ctx context.Context) {
	err := a.catalog.Register(ctx, catalog.Self{
		Name:     a.cfg.Name,
		Version:  a.opts.Version,
		EdgeAddr: a.EdgeAddr(),
		MeshAddr: a.MeshAddr(),
		LANAddr:  a.gossip.LANAddr(),
		WANAddr:  a.sockets.wanAdvertise,
		Meta:     map[string]string{"group": a.cfg.Group},
		ReadyURL: a.readyURL(),
		Ready:    a.Ready,
	})
	if err != nil && ctx.Err() == nil {
		a.log.Warn("not registered yet; tried again", "error", err)
	}
}

// Ready says whether devices should be sent here, and why not.
func (a *Agent) Ready() (bool, string) {
	v := a.view.Load()
	switch {
	case !a.started.Load():
		return false, "starting"
	case a.draining.Load():
		return false, "draining"
	case v.Policy == nil:
		return false, "no policy yet"
	case a.catalog.Snapshot().Updated.IsZero() && len(v.Regions) == 0:
		return false, "neither the catalog nor another region is known yet"
	}
	return true, "ready"
}

// SetDraining takes the agent out of service, or back in: it stops being
// ready, deregisters and tells its peers, while what arrives is still served. With
// a rate so many devices a second are told to go elsewhere.
func (a *Agent) SetDraining(ctx context.Context, on bool, perSecond float64) admin.DrainAnswer {
	a.turn(ctx, on, perSecond)
	return admin.DrainAnswer{Agent: a.cfg.Name, Draining: on, InFlight: int(a.active.Load()), Connections: a.edge.Connections()}
}

func (a *Agent) turn(ctx context.Context, on bool, perSecond float64) {
	a.turning.Lock()
	defer a.turning.Unlock()
	if !on {
		perSecond = 0
	}
	a.mover.set(perSecond)
	if a.draining.CompareAndSwap(!on, on) {
		a.log.Info("draining", "on", on, "in_flight", a.active.Load())
		a.announce(ctx, on)
	}
}

func (a *Agent) announce(ctx context.Context, leaving bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := a.gossip.SetMeta(a.meta()); err != nil {
		a.log.Warn("peers not told", "error", err)
	}
	a.publish(a.view.Load(), time.Now())
	if !leaving {
		a.register(ctx)
		return
	}
	if err := a.catalog.Deregister(ctx); err != nil {
		a.log.Warn("not deregistered", "error", err)
	}
}

// Drain takes the agent out of service for good: after SetDraining it has devices
// leave, not all at once, sends GOAWAY to peers and waits until what is in flight is done or ctx
// ends. Close comes next.
func (a *Agent) Drain(ctx context.Context) error {
	a.SetDraining(ctx, true, 0)
	a.batches.flush()
	a.moveAll(ctx)
	var all sync.WaitGroup
	var edgeErr, meshErr, egressErr error
	all.Go(func() { edgeErr = a.edge.Shutdown(ctx) })
	all.Go(func() { meshErr = a.mesh.Shutdown(ctx) })
	if a.egress != nil {
		all.Go(func() { egressErr = a.egress.server.Shutdown(ctx) })
	}
	all.Wait()
	a.log.Info("drained", "in_flight", a.active.Load())
	return errors.Join(edgeErr, meshErr, egressErr)
}

// Close ends the agent at once and waits for all it started.
func (a *Agent) Close() error {
	a.closed.Do(func() {
		a.cancel()
		a.mover.set(0)
		if a.events != nil {
			a.events.Close()
		}
		if a.hook != nil {
			a.hook.Close() // before those who wait for it
		}
		a.batches.end()
		if a.mqtt != nil {
			a.mqtt.Close() // before the edge cuts connections: nobody died, so no will is due
		}
		if a.edge != nil {
			_ = a.edge.Close()
		}
		for _, s := range a.local {
			s.close()
		}
		if a.faults != nil {
			a.faults.close()
		}
		if a.mesh != nil {
			_ = a.mesh.Close()
		}
		if a.gossip != nil {
			_ = a.gossip.Leave(time.Second)
			_ = a.gossip.Close()
		}
		a.loops.Wait()
		a.upstream.Close()
		a.sockets.close()
	})
	return nil
}

func (a *Agent) meta() gossip.Meta {
	return gossip.Meta{
		Name:     a.cfg.Name,
		Region:   a.cfg.Region,
		Group:    a.cfg.Group,
		MeshAddr: a.sockets.meshAdvertise,
		EdgeAddr: a.sockets.edgeAdvertise,
		Version:  a.opts.Version,
		Draining: a.draining.Load(),
	}
}
