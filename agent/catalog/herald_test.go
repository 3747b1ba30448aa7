package catalog_test

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/tidegate/tidegate/agent/catalog"
	"github.com/tidegate/tidegate/agent/catalog/consultest"
)

func TestReadinessIsToldWhenItChangesNotWhenTheNextRenewalIsDue(t *testing.T) {
	s := script(t)
	c, err := catalog.NewConsul(catalog.ConsulConfig{Address: s.URL, TTL: "1h"}, catalog.Options{Region: "eu-1"})
	if err != nil {
		t.Fatal(err)
	}
	running(t, c)
	var leaving atomic.Bool
	ready := func() (bool, string) { return !leaving.Load(), "" }
	if err := c.Register(t.Context(), catalog.Self{Name: "a1", EdgeAddr: "10.0.0.1:7443", Ready: ready}); err != nil {
		t.Fatal(err)
	}
	leaving.Store(true)
	consultest.Eventually(t, soon, "Consul hears that the agent is not ready", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Contains(s.heard, "check/update/service:tidegate-a1 critical")
	})
	if err := c.Deregister(t.Context()); err != nil {
		t.Errorf("an agent that Consul does not know has nothing to deregister: %v", err)
	}
}
