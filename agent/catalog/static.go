package catalog

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Static is a Catalog over a fixed list of instances, each watched by HTTP
// health checks where its service has one. Only followed services are checked.
type Static struct {
	*board
	opt     Options
	log     *slog.Logger
	meters  *meters
	client  *http.Client
	ran     atomic.Bool
	rematch chan struct{} // the set of checks changed

	mu       sync.Mutex // guards what follows, and the order of snapshots
	services map[string]staticService
	followed []string
	health   map[checkKey]*health
	index    uint64
}

// checkKey is what a health check depends on: the same key, the same health.
type checkKey struct {
	service, id, address string
	plan                 checkPlan
}

// NewStatic checks cfg and returns a catalog over it. A fault in cfg is of kind
// policy.ErrInvalid.
func NewStatic(cfg StaticConfig, opt Options) (*Static, error) {
	services, err := cfg.services()
	if err != nil {
		return nil, err
	}
	s := &Static{
		board: newBoard(&Snapshot{Services: map[string][]Instance{}, Source: SourceStatic, Updated: time.Now()}),
		opt:   opt, log: loggerOf(opt), client: checkClient(),
		rematch: make(chan struct{}, 1), services: services, health: map[checkKey]*health{},
	}
	if s.meters, err = newMeters(opt.Metrics, s.Snapshot); err != nil {
		return nil, err
	}
	return s, nil
}

// Update replaces the services, keeping the health of instances whose address
// and check stay the same. A faulty cfg changes nothing.
func (s *Static) Update(cfg StaticConfig) error {
	services, err := cfg.services()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.services = services
	s.revise()
	return nil
}

// Watch implements Catalog.
func (s *Static) Watch(services []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.followed = slices.Clone(services)
	s.revise()
}

// revise makes the set of checks follow the services; mu is held.
func (s *Static) revise() {
	kept := map[checkKey]*health{}
	for _, name := range s.followed {
		for _, i := range s.services[name].instances {
			if key := s.keyOf(i); key.plan != (checkPlan{}) {
				if kept[key] = s.health[key]; kept[key] == nil {
					kept[key] = &health{}
				}
			}
		}
	}
	s.health = kept
	s.show()
	poke(s.rematch)
}

func (s *Static) keyOf(i Instance) checkKey {
	return checkKey{i.Service, i.ID, i.Address, s.services[i.Service].plan}
}

// show publishes what is known, if it differs from what is shown; mu is held.
func (s *Static) show() {
	services := make(map[string][]Instance, len(s.followed))
	for _, name := range s.followed {
		list := make([]Instance, 0, len(s.services[name].instances))
		for _, i := range s.services[name].instances {
			if h := s.health[s.keyOf(i)]; h != nil {
				i.Status = h.status()
			}
			list = append(list, i)
		}
		slices.SortFunc(list, byID)
		services[name] = list
	}
	changed := !sameServices(services, s.Snapshot().Services)
	if changed {
		s.index++
	}
	s.publish(&Snapshot{Services: services, Index: s.index, Source: SourceStatic, Updated: time.Now()}, changed)
}

// Run implements Catalog.
func (s *Static) Run(ctx context.Context) error {
	if !s.ran.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer s.client.CloseIdleConnections()
	var wg sync.WaitGroup
	defer wg.Wait()
	running := map[checkKey]context.CancelFunc{}
	for {
		s.match(ctx, &wg, running)
		select {
		case <-ctx.Done():
			for _, stop := range running {
				stop()
			}
			return nil
		case <-s.rematch:
		}
	}
}

// match has one check running for each key in health.
func (s *Static) match(ctx context.Context, wg *sync.WaitGroup, running map[checkKey]context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, stop := range running {
		if s.health[key] == nil {
			stop()
			delete(running, key)
		}
	}
	for key := range s.health {
		if running[key] == nil {
			checking, stop := context.WithCancel(ctx)
			running[key] = stop
			wg.Go(func() { s.keepChecking(checking, key) })
		}
	}
}

// Register implements Catalog: a static catalog announces nothing.
func (s *Static) Register(context.Context, Self) error { return nil }

// Deregister implements Catalog.
func (s *Static) Deregister(context.Context) error { return nil }

// Peers implements Catalog: the retry_join addresses.
func (s *Static) Peers(ctx context.Context) (lan, wan []string, err error) {
	lan, wan, err = resolveJoin(ctx, s.opt)
	if err != nil {
		s.meters.fail("peers")
	}
	return lan, wan, err
}
