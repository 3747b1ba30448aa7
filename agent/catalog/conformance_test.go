package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/tidegate/tidegate/agent/catalog"
	"github.com/tidegate/tidegate/agent/catalog/consultest"
)

// source is a world in which a catalog's services can be changed.
type source interface {
	open(t *testing.T, opt catalog.Options) catalog.Catalog
	place(t *testing.T, b *backend) // lists it, or lists it again as it is now
	remove(t *testing.T, b *backend)
}

// backend is an instance with a health endpoint that can be turned off.
type backend struct {
	service, id string
	tags        []string
	meta        map[string]string
	server      *httptest.Server
	sick        atomic.Bool
}

func newBackend(t *testing.T, service, id string) *backend {
	b := &backend{service: service, id: id, tags: []string{"canary"}, meta: map[string]string{"version": "2"}}
	b.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.sick.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(b.server.Close)
	return b
}

func (b *backend) addr() string { return b.server.Listener.Addr().String() }

func TestStaticConformance(t *testing.T) { conform(t, &staticSource{}) }

func TestConsulConformance(t *testing.T) {
	t.Parallel()
	conform(t, &consulSource{server: consultest.Start(t, consultest.Config{DC: "eu-1"})})
}

func conform(t *testing.T, src source) {
	for _, c := range []struct {
		promise string
		hold    func(*testing.T, source)
	}{
		{"SnapshotIsThereBeforeAnythingIsKnown", snapshotIsThereBeforeAnythingIsKnown},
		{"HealthyInstanceIsReadyAsListed", healthyInstanceIsReadyAsListed},
		{"SickInstanceIsCriticalUntilItRecovers", sickInstanceIsCriticalUntilItRecovers},
		{"RemovedInstanceIsNotReady", removedInstanceIsNotReady},
		{"OnlyFollowedServicesAppear", onlyFollowedServicesAppear},
		{"UnknownServiceIsFollowedAndEmpty", unknownServiceIsFollowedAndEmpty},
		{"SnapshotInHandNeverChanges", snapshotInHandNeverChanges},
		{"RunEndsWithItsContextAndRunsOnce", runEndsWithItsContextAndRunsOnce},
		{"DeregisterWithoutRegisterIsNoError", deregisterWithoutRegisterIsNoError},
		{"PeersHaveTheConfiguredAddresses", peersHaveTheConfiguredAddresses},
	} {
		t.Run(c.promise, func(t *testing.T) { c.hold(t, src) })
	}
}

func snapshotIsThereBeforeAnythingIsKnown(t *testing.T, src source) {
	c := src.open(t, catalog.Options{})
	if s := c.Snapshot(); s == nil || s.Services == nil {
		t.Fatalf("snapshot before Run: %+v, want an empty one", s)
	}
}

func healthyInstanceIsReadyAsListed(t *testing.T, src source) {
	b := newBackend(t, "alarms", "alarms-1")
	src.place(t, b)
	defer src.remove(t, b)
	c := running(t, src.open(t, catalog.Options{}), "alarms")
	await(t, c, "alarms-1 ready", has(b, catalog.Ready))
	i := find(c.Snapshot(), b)
	if i.Service != "alarms" || !slices.Equal(i.Tags, b.tags) || i.Meta["version"] != "2" || !strings.HasSuffix(i.ID, b.id) {
		t.Errorf("instance %+v differs from what was listed", i)
	}
	if s := c.Snapshot(); s.Stale || s.Err != nil || time.Since(s.Updated) > time.Minute {
		t.Errorf("fresh snapshot looks stale: %+v", s)
	}
}

func sickInstanceIsCriticalUntilItRecovers(t *testing.T, src source) {
	b := newBackend(t, "alarms", "alarms-sick")
	src.place(t, b)
	defer src.remove(t, b)
	c := running(t, src.open(t, catalog.Options{}), "alarms")
	await(t, c, "ready at first", has(b, catalog.Ready))
	before := c.Snapshot().Index
	b.sick.Store(true)
	await(t, c, "critical when sick", has(b, catalog.Critical))
	b.sick.Store(false)
	await(t, c, "ready when well", has(b, catalog.Ready))
	if after := c.Snapshot().Index; after < before+2 {
		t.Errorf("index went from %d to %d over two changes", before, after)
	}
}

func removedInstanceIsNotReady(t *testing.T, src source) {
	stays, goes := newBackend(t, "alarms", "alarms-stays"), newBackend(t, "alarms", "alarms-goes")
	src.place(t, stays)
	src.place(t, goes)
	defer src.remove(t, stays)
	c := running(t, src.open(t, catalog.Options{}), "alarms")
	await(t, c, "both ready", func(s *catalog.Snapshot) bool {
		return has(stays, catalog.Ready)(s) && has(goes, catalog.Ready)(s)
	})
	src.remove(t, goes)
	await(t, c, "the removed one is not ready, the other is", func(s *catalog.Snapshot) bool {
		return has(stays, catalog.Ready)(s) && !has(goes, catalog.Ready)(s)
	})
}

func onlyFollowedServicesAppear(t *testing.T, src source) {
	a, b := newBackend(t, "alarms", "alarms-f"), newBackend(t, "bulk", "bulk-f")
	src.place(t, a)
	src.place(t, b)
	defer src.remove(t, a)
	defer src.remove(t, b)
	c := running(t, src.open(t, catalog.Options{}), "alarms")
	await(t, c, "alarms ready", has(a, catalog.Ready))
	if s := c.Snapshot(); len(s.Services) != 1 {
		t.Errorf("services %v, want alarms only", s.Services)
	}
	c.Watch([]string{"alarms", "bulk"})
	await(t, c, "both ready", func(s *catalog.Snapshot) bool { return has(a, catalog.Ready)(s) && has(b, catalog.Ready)(s) })
	drain(c.Changed())
	c.Watch([]string{"bulk", "alarms"})
	select {
	case <-c.Changed():
		t.Error("watching the same services again counts as a change")
	default:
	}
	c.Watch([]string{"bulk"})
	if _, still := c.Snapshot().Services["alarms"]; still {
		t.Error("a service no longer followed is still shown")
	}
}

func unknownServiceIsFollowedAndEmpty(t *testing.T, src source) {
	c := running(t, src.open(t, catalog.Options{}), "nobody")
	await(t, c, "answered", func(s *catalog.Snapshot) bool {
		list, followed := s.Services["nobody"]
		return followed && len(list) == 0 && !s.Stale
	})
}

func snapshotInHandNeverChanges(t *testing.T, src source) {
	b := newBackend(t, "alarms", "alarms-frozen")
	src.place(t, b)
	defer src.remove(t, b)
	c := running(t, src.open(t, catalog.Options{}), "alarms")
	await(t, c, "ready", has(b, catalog.Ready))
	inHand := c.Snapshot()
	b.sick.Store(true)
	await(t, c, "critical", has(b, catalog.Critical))
	if !has(b, catalog.Ready)(inHand) {
		t.Error("a snapshot in hand changed with the world")
	}
}

func runEndsWithItsContextAndRunsOnce(t *testing.T, src source) {
	c := src.open(t, catalog.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run returned %v at the end of its context", err)
	}
	if err := c.Run(ctx); !errors.Is(err, catalog.ErrRunning) {
		t.Errorf("second Run returned %v, want ErrRunning", err)
	}
}

func deregisterWithoutRegisterIsNoError(t *testing.T, src source) {
	if err := src.open(t, catalog.Options{}).Deregister(t.Context()); err != nil {
		t.Error(err)
	}
}

func peersHaveTheConfiguredAddresses(t *testing.T, src source) {
	c := src.open(t, catalog.Options{RetryJoin: []string{"127.0.1.9:7946", "localhost:7946"}, RetryJoinWAN: []string{"127.0.1.8:7947", "no port"}})
	lan, wan, err := c.Peers(t.Context())
	if !slices.Contains(lan, "127.0.1.9:7946") || !slices.Contains(lan, "127.0.0.1:7946") || !slices.Contains(wan, "127.0.1.8:7947") {
		t.Errorf("peers lan %v wan %v (error %v) miss configured addresses", lan, wan, err)
	}
	if err == nil || !strings.Contains(err.Error(), "no port") {
		t.Errorf("error %v does not name the bad address", err)
	}
}

type staticSource struct {
	cfg    catalog.StaticConfig
	opened *catalog.Static // the last one
}

func (s *staticSource) open(t *testing.T, opt catalog.Options) catalog.Catalog {
	c, err := catalog.NewStatic(s.cfg, opt)
	if err != nil {
		t.Fatal(err)
	}
	s.opened = c
	return c
}

func (s *staticSource) place(t *testing.T, b *backend) {
	check := &catalog.StaticCheck{Path: "/health", Interval: "20ms", Healthy: 2, Unhealthy: 2}
	i := catalog.StaticInstance{ID: b.id, Address: b.addr(), Tags: b.tags, Meta: b.meta}
	at := slices.IndexFunc(s.cfg.Services, func(s catalog.StaticService) bool { return s.Name == b.service })
	if at < 0 {
		s.cfg.Services = append(s.cfg.Services, catalog.StaticService{Name: b.service, Check: check})
		at = len(s.cfg.Services) - 1
	}
	s.cfg.Services[at].Instances = append(s.cfg.Services[at].Instances, i)
}

func (s *staticSource) remove(t *testing.T, b *backend) {
	for at := range s.cfg.Services {
		s.cfg.Services[at].Instances = slices.DeleteFunc(s.cfg.Services[at].Instances, func(i catalog.StaticInstance) bool { return i.ID == b.id })
	}
	if err := s.opened.Update(s.cfg); err != nil {
		t.Fatal(err)
	}
}

type consulSource struct{ server *consultest.Server }

func (s *consulSource) open(t *testing.T, opt catalog.Options) catalog.Catalog {
	opt.Region = s.server.DC()
	c, err := catalog.NewConsul(consulConfig(s.server), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func (s *consulSource) place(t *testing.T, b *backend) {
	placeInConsul(t, s.server, b, &api.AgentServiceCheck{HTTP: b.server.URL + "/health", Interval: "50ms", Timeout: "1s", Status: "passing"})
}

func (s *consulSource) remove(t *testing.T, b *backend) { removeFromConsul(t, s.server, b) }

func placeInConsul(t *testing.T, s *consultest.Server, b *backend, check *api.AgentServiceCheck) {
	t.Helper()
	addr := b.server.Listener.Addr().(*net.TCPAddr)
	reg := &api.AgentServiceRegistration{
		ID: b.id, Name: b.service, Address: addr.IP.String(), Port: addr.Port, Tags: b.tags, Meta: b.meta, Check: check,
	}
	if err := s.Client().Agent().ServiceRegister(reg); err != nil {
		t.Fatal(err)
	}
}

func removeFromConsul(t *testing.T, s *consultest.Server, b *backend) {
	t.Helper()
	if err := s.Client().Agent().ServiceDeregister(b.id); err != nil {
		t.Fatal(err)
	}
}

// consulConfig is quick enough for tests.
func consulConfig(s *consultest.Server) catalog.ConsulConfig {
	return catalog.ConsulConfig{
		Address: s.Addr(), Token: s.Token(), WaitTime: "2s", TTL: "1s",
		Timing: catalog.Timing{MinBackoff: 50 * time.Millisecond, MaxBackoff: 200 * time.Millisecond, Request: 5 * time.Second},
	}
}

// running runs c until the test ends, following services.
func running[C catalog.Catalog](t *testing.T, c C, services ...string) C {
	t.Helper()
	c.Watch(services)
	run(t, c)
	return c
}

// run runs c and returns what stops it and waits for its end.
func run(t *testing.T, c catalog.Catalog) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := c.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(stop)
	return stop
}

// await waits for a snapshot that holds, woken by Changed alone.
func await(t *testing.T, c catalog.Catalog, what string, holds func(*catalog.Snapshot) bool) {
	t.Helper()
	deadline := time.NewTimer(15 * time.Second)
	defer deadline.Stop()
	for !holds(c.Snapshot()) {
		select {
		case <-c.Changed():
		case <-deadline.C:
			t.Fatalf("not in time: %s; snapshot %s", what, show(c.Snapshot()))
		}
	}
}

func show(s *catalog.Snapshot) string {
	return fmt.Sprintf("%+v", *s)
}

func find(s *catalog.Snapshot, b *backend) catalog.Instance {
	for _, i := range s.Services[b.service] {
		if i.Address == b.addr() {
			return i
		}
	}
	return catalog.Instance{}
}

// has holds when b is listed with the status.
func has(b *backend, status catalog.Status) func(*catalog.Snapshot) bool {
	return func(s *catalog.Snapshot) bool {
		i := find(s, b)
		return i.ID != "" && i.Status == status
	}
}

func drain(c <-chan struct{}) {
	select {
	case <-c:
	default:
	}
}
