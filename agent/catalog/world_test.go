package catalog_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
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
