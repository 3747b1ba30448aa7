package catalog

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"
)

// Consul is a Catalog over the local Consul agent. Each followed service costs
// one connection held by a blocking query; Consul allows 200 a client address
// unless http_max_conns_per_client says otherwise.
type Consul struct {
	*board
	opt    Options
	set    settings
	client *api.Client
	conf   *api.Config
	log    *slog.Logger
	meters *meters
	herald *herald

	ran      atomic.Bool
	followed chan struct{} // the set of services changed
	dirty    chan struct{} // there is something to write to disk

	mu      sync.Mutex // guards what follows, and the order of snapshots
	ledger  *ledger
	failing map[string]bool // services whose last query failed
	filing  bool            // the last write to disk failed
}

// NewConsul returns a catalog over cfg; it opens no connection, so Consul may
// be down. The last-known-good of an earlier run is loaded from
// Options.DataDir; a damaged file is logged and ignored. A fault in cfg is of
// kind policy.ErrInvalid. Close it, or Run it until its context ends.
func NewConsul(cfg ConsulConfig, opt Options) (*Consul, error) {
	set, err := cfg.settings()
	if err != nil {
		return nil, err
	}
	client, conf, err := cfg.client()
	if err != nil {
		return nil, err
	}
	if opt.Transport != nil {
		conf.HttpClient.Transport = opt.Transport(conf.HttpClient.Transport)
	}
	c := &Consul{
		opt: opt, set: set, client: client, conf: conf, log: loggerOf(opt),
		followed: make(chan struct{}, 1), dirty: make(chan struct{}, 1), failing: map[string]bool{},
	}
	shelf := c.load()
	c.ledger = newLedger(set.distrustFor, shelf)
	c.board = newBoard(c.ledger.snapshot())
	if c.meters, err = newMeters(opt.Metrics, c.Snapshot); err != nil {
		return nil, err
	}
	c.herald = newHerald(client, set, c.log, c.meters)
	return c, nil
}

// Run implements Catalog.
func (c *Consul) Run(ctx context.Context) error {
	if !c.ran.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer c.Close()
	var wg sync.WaitGroup
	wg.Go(func() { c.herald.run(ctx) })
	wg.Go(func() { c.keepExpiring(ctx) })
	wg.Go(func() { c.keepWatching(ctx) })
	c.keepFile(ctx)
	wg.Wait()
	c.store()
	return nil
}

// Close drops idle connections; Run does so at its end.
func (c *Consul) Close() { c.conf.HttpClient.CloseIdleConnections() }

// Watch implements Catalog. Names that cannot be Consul services are followed
// too, and always unavailable.
func (c *Consul) Watch(services []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ledger.follow(services, time.Now()) {
		return
	}
	for name := range c.failing {
		if !slices.Contains(services, name) {
			delete(c.failing, name)
		}
	}
	c.publish(c.ledger.snapshot(), true)
	poke(c.followed)
}

// keepWatching has one watch running for each followed service.
func (c *Consul) keepWatching(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	running := map[string]context.CancelFunc{}
	for {
		c.match(ctx, &wg, running)
		select {
		case <-ctx.Done():
			for _, stop := range running {
				stop()
			}
			return
		case <-c.followed:
		}
	}
}

func (c *Consul) match(ctx context.Context, wg *sync.WaitGroup, running map[string]context.CancelFunc) {
	wanted := c.Snapshot().Services
	for name, stop := range running {
		if _, still := wanted[name]; !still {
			stop()
			delete(running, name)
		}
	}
	for name := range wanted {
		if running[name] == nil {
			watching, stop := context.WithCancel(ctx)
			running[name] = stop
			wg.Go(func() { c.watch(watching, name) })
		}
	}
}

// keepExpiring lets distrust run out.
func (c *Consul) keepExpiring(ctx context.Context) {
	tick := time.NewTicker(min(max(c.set.distrustFor/10, 100*time.Millisecond), 10*time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			c.expire(now)
		}
	}
}

func (c *Consul) expire(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ledger.expire(now) {
		c.publish(c.ledger.snapshot(), true)
		poke(c.dirty)
	}
}
