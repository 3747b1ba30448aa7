package catalog_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/tidegate/tidegate/agent/catalog"
	"github.com/tidegate/tidegate/agent/catalog/consultest"
)

const soon = 10 * time.Second

// registered is the agent as the server lists it; nil: not at all.
func registered(s *consultest.Server) *api.ServiceEntry {
	entries, _, err := s.Client().Health().Service(catalog.ServiceName, "", false, nil)
	if err != nil || len(entries) == 0 {
		return nil
	}
	return entries[0]
}

func registeredAs(s *consultest.Server, status string) func() bool {
	return func() bool {
		e := registered(s)
		return e != nil && e.Checks.AggregatedStatus() == status
	}
}

func self(ready func() (bool, string)) catalog.Self {
	return catalog.Self{
		Name: "eu-1-a", Version: "0.1.0", EdgeAddr: "127.0.1.1:7443", MeshAddr: "127.0.1.1:7444",
		LANAddr: "0.0.0.0:7946", WANAddr: "127.0.1.1:7947", Meta: map[string]string{"rack": "r1"}, Ready: ready,
	}
}

func TestConsulRegistration(t *testing.T) {
	t.Parallel()
	s := consultest.Start(t, consultest.Config{DC: "eu-1"})
	c := observe(t, s, consulConfig(s), "")
	var sick atomic.Bool
	if err := c.Register(t.Context(), self(func() (bool, string) { return !sick.Load(), "no policy" })); err != nil {
		t.Fatal(err)
	}
	consultest.Eventually(t, soon, "registered and passing", registeredAs(s, "passing"))
	e := registered(s)
	want := map[string]string{"agent": "eu-1-a", "region": "eu-1", "version": "0.1.0", "mesh": "127.0.1.1:7444", "lan": "0.0.0.0:7946", "wan": "127.0.1.1:7947", "rack": "r1"}
	for key, value := range want {
		if got := e.Service.Meta[key]; got != value {
			t.Errorf("registered meta %q is %q, want %q", key, got, value)
		}
	}
	if e.Service.ID != "tidegate-eu-1-a" || e.Service.Address != "127.0.1.1" || e.Service.Port != 7443 {
		t.Errorf("registered as %q at %s:%d", e.Service.ID, e.Service.Address, e.Service.Port)
	}

	sick.Store(true)
	consultest.Eventually(t, soon, "critical when not ready", registeredAs(s, "critical"))
	sick.Store(false)
	consultest.Eventually(t, soon, "passing when ready", registeredAs(s, "passing"))

	if err := s.Client().Agent().ServiceDeregister(e.Service.ID); err != nil {
		t.Fatal(err)
	}
	consultest.Eventually(t, 2*time.Second, "registered again within one TTL update", registeredAs(s, "passing"))
	if c.gauge(t, "tidegate_catalog_errors_total", "register") != 0 || c.log.count("no longer knows this agent") != 1 {
		t.Error("being unknown to Consul was taken for a failure, which waits before it tries again")
	}

	if err := c.Deregister(t.Context()); err != nil {
		t.Fatal(err)
	}
	consultest.Eventually(t, soon, "gone after draining", func() bool { return registered(s) == nil })
	for range 3 { // a TTL and more: the herald must stay silent
		select {
		case <-c.Changed():
		case <-time.After(time.Second / 2):
		}
	}
	if registered(s) != nil {
		t.Error("the agent came back after it was deregistered")
	}
}

func TestConsulRegistrationOutlivesConsul(t *testing.T) {
	t.Parallel()
	s := consultest.Start(t, consultest.Config{DC: "eu-1"})
	s.Kill()
	c := observe(t, s, consulConfig(s), "")
	if err := c.Register(t.Context(), self(nil)); err == nil {
		t.Fatal("registering without Consul says it worked")
	}
	s.RestartEmpty()
	consultest.Eventually(t, soon, "registered once Consul is there", registeredAs(s, "passing"))
	s.RestartEmpty()
	consultest.Eventually(t, soon, "registered again after Consul lost its data", registeredAs(s, "passing"))
	if c.log.count("is not registered") > 2 {
		t.Error("each outage is to be said once")
	}
}

func TestConsulRegistrationWithHTTPCheck(t *testing.T) {
	t.Parallel()
	s := consultest.Start(t, consultest.Config{DC: "eu-1"})
	cfg := consulConfig(s)
	cfg.Check = catalog.CheckHTTP
	c := observe(t, s, cfg, "")
	me := self(nil)
	if err := c.Register(t.Context(), me); err == nil {
		t.Error("an HTTP check without a URL is accepted")
	}
	admin := newBackend(t, "admin", "readyz")
	admin.sick.Store(true)
	me.ReadyURL = admin.server.URL
	if err := c.Register(t.Context(), me); err != nil {
		t.Fatal(err)
	}
	consultest.Eventually(t, soon, "asked by Consul, and critical as readyz says", registeredAs(s, "critical"))
}

func TestConsulDeregisterHeedsItsContext(t *testing.T) {
	t.Parallel()
	s := consultest.Start(t, consultest.Config{DC: "eu-1"})
	c := observe(t, s, consulConfig(s), "")
	if err := c.Register(t.Context(), self(nil)); err != nil {
		t.Fatal(err)
	}
	s.Pause()
	defer s.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := c.Deregister(ctx); err == nil || time.Since(began) > 2*time.Second {
		t.Errorf("Deregister against a frozen server returned %v after %s", err, time.Since(began))
	}
}
