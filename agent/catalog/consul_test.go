package catalog_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tidegate/tidegate/agent/catalog"
	"github.com/tidegate/tidegate/agent/catalog/consultest"
)

// journal collects what a catalog logs.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) count(part string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), part)
}

// observed is a running catalog over a server, with its log and its metrics.
type observed struct {
	*catalog.Consul
	log  *journal
	reg  *prometheus.Registry
	stop func()
}

func observe(t *testing.T, s *consultest.Server, cfg catalog.ConsulConfig, dir string, services ...string) observed {
	t.Helper()
	o := observed{log: &journal{}, reg: prometheus.NewRegistry()}
	c, err := catalog.NewConsul(cfg, catalog.Options{
		Region: s.DC(), DataDir: dir, Metrics: o.reg, Logger: slog.New(slog.NewTextHandler(o.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	o.Consul = c
	c.Watch(services)
	o.stop = run(t, c)
	return o
}

// gauge is the sum of a metric over its labels.
func (o observed) gauge(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	families, err := o.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if f.GetName() == name && (len(labels) == 0 || slices.Equal(values, labels)) {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func stale(kind error) func(*catalog.Snapshot) bool {
	return func(s *catalog.Snapshot) bool { return s.Stale && errors.Is(s.Err, kind) }
}

func fresh(s *catalog.Snapshot) bool { return !s.Stale && s.Err == nil }

func both(a, b func(*catalog.Snapshot) bool) func(*catalog.Snapshot) bool {
	return func(s *catalog.Snapshot) bool { return a(s) && b(s) }
}

func awaitFile(t *testing.T, dir string) {
	t.Helper()
	consultest.Eventually(t, soon, "the last known good is on disk", func() bool {
		info, err := os.Stat(filepath.Join(dir, "catalog.json"))
		return err == nil && info.Mode().Perm() == 0o600
	})
}

func passing() *api.AgentServiceCheck { return &api.AgentServiceCheck{TTL: "10m", Status: "passing"} }

func TestConsulKilledAndEmptiedKeepsLastKnownGood(t *testing.T) {
	t.Parallel()
	s := consultest.Start(t, consultest.Config{DC: "eu-1"})
	b := newBackend(t, "alarms", "alarms-1")
	placeInConsul(t, s, b, passing())
	for range 30 { // so that the index of the emptied server is lower
		if _, err := s.Client().KV().Put(&api.KVPair{Key: "x", Value: []byte("y")}, nil); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	c := observe(t, s, consulConfig(s), dir, "alarms")
	await(t, c, "ready", both(fresh, has(b, catalog.Ready)))
	awaitFile(t, dir)

	s.Kill()
	await(t, c, "stale with the same instances", both(stale(catalog.ErrUnavailable), has(b, catalog.Ready)))
	age := c.gauge(t, "tidegate_catalog_age_seconds")
	consultest.Eventually(t, 10*time.Second, "several failed queries and a growing age", func() bool {
		return c.gauge(t, "tidegate_catalog_errors_total", "query") >= 4 && c.gauge(t, "tidegate_catalog_age_seconds") > age+0.5
	})
	if n := c.log.count("consul does not answer"); n != 1 {
		t.Errorf("the outage was said %d times, want once", n)
	}

	t.Run("AgentStartsWithConsulDown", func(t *testing.T) {
		late := observe(t, s, consulConfig(s), dir, "alarms")
		if got := late.Snapshot(); !has(b, catalog.Ready)(got) || got.Source != catalog.SourceDisk || !got.Stale {
			t.Errorf("snapshot after a start without Consul: %s", show(got))
		}
		late.stop()
	})

	s.RestartEmpty()
	await(t, c, "empty answers are not believed", both(stale(catalog.ErrEmpty), has(b, catalog.Ready)))
	if c.log.count("level=ERROR") != 1 || c.gauge(t, "tidegate_catalog_errors_total", "empty") == 0 {
		t.Error("the empty answer was not alarmed, or more than once")
	}
	placeInConsul(t, s, b, &api.AgentServiceCheck{CheckID: "own", TTL: "10m", Status: "passing"})
	if err := s.Client().Agent().UpdateTTL("own", "no answer", "fail"); err != nil {
		t.Fatal(err)
	}
	await(t, c, "follows again", both(fresh, has(b, catalog.Critical)))
}

func TestConsulRestartedMakesNoInstanceSick(t *testing.T) {
	t.Parallel()
	s := consultest.Start(t, consultest.Config{DC: "eu-1"})
	b := newBackend(t, "alarms", "alarms-1")
	placeInConsul(t, s, b, &api.AgentServiceCheck{HTTP: "http://" + b.addr(), Interval: "5m", Timeout: "1s", Status: "passing"})
	c := observe(t, s, consulConfig(s), "", "alarms")
	await(t, c, "ready", has(b, catalog.Ready))
	s.Kill()
	await(t, c, "stale", stale(catalog.ErrUnavailable))
	s.Restart()
	consultest.Eventually(t, 10*time.Second, "Consul holds what it has not checked yet for critical", func() bool {
		listed, _, err := s.Client().Health().Service("alarms", "", false, nil)
		return err == nil && len(listed) == 1 && listed[0].Checks.AggregatedStatus() == api.HealthCritical
	})
	for until := time.Now().Add(time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if now := c.Snapshot(); !has(b, catalog.Ready)(now) {
			t.Fatalf("before its check ran: %s", show(now))
		}
	}
}

func TestConsulTokenThatLosesItsRightsKeepsLastKnownGood(t *testing.T) {
	t.Parallel()
	s := consultest.Start(t, consultest.Config{DC: "eu-1", ACL: true})
	token, policy := tokenFor(t, s, `service_prefix "" { policy = "write" } node_prefix "" { policy = "read" }`)
	b := newBackend(t, "alarms", "alarms-1")
	placeInConsul(t, s, b, passing())
	cfg := consulConfig(s)
	cfg.Token, cfg.WaitTime = token, "500ms"
	c := observe(t, s, cfg, "", "alarms")
	await(t, c, "ready", both(fresh, has(b, catalog.Ready)))

	setRules(t, s, policy, `node_prefix "" { policy = "read" }`)
	await(t, c, "filtered answers are not believed", both(stale(catalog.ErrFiltered), has(b, catalog.Ready)))
	consultest.Eventually(t, 10*time.Second, "several filtered answers", func() bool {
		return c.gauge(t, "tidegate_catalog_errors_total", "filtered") >= 3
	})
	if n := c.log.count("consul withheld instances"); n != 1 {
		t.Errorf("the loss of rights was said %d times, want once", n)
	}
	if c.log.count(token) != 0 {
		t.Error("the token is in the log")
	}
	if c.gauge(t, "tidegate_catalog_stale") != 1 {
		t.Error("the gauge does not say stale")
	}

	setRules(t, s, policy, `service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }`)
	await(t, c, "believed again", both(fresh, has(b, catalog.Ready)))
}

func TestConsulTokenOfTheAgentNeedsFewRights(t *testing.T) {
	t.Parallel()
	s := consultest.Start(t, consultest.Config{DC: "eu-1", ACL: true})
	cfg := consulConfig(s)
	cfg.Token, _ = tokenFor(t, s, `
		service "tidegate"      { policy = "write" }
		service_prefix ""       { policy = "read" }
		node_prefix ""          { policy = "read" }
		key_prefix "tidegate/"  { policy = "read" }`)
	b := newBackend(t, "alarms", "alarms-1")
	placeInConsul(t, s, b, passing())
	c := observe(t, s, cfg, "", "alarms")
	await(t, c, "ready", both(fresh, has(b, catalog.Ready)))
	if err := c.Register(t.Context(), self(nil)); err != nil {
		t.Error(err)
	}
	if _, _, err := c.Peers(t.Context()); err != nil {
		t.Error(err)
	}
	if _, _, err := c.GetKV(t.Context(), "tidegate/policy", ""); err != nil {
		t.Error(err)
	}
	results, err := c.PutAll(t.Context(), "tidegate/policy", []byte("x"))
	if err != nil || len(results) != 1 || results[0].Err == nil {
		t.Errorf("writing a key without the right to: %v, %v", results, err)
	}
	if err := c.Deregister(t.Context()); err != nil {
		t.Error(err)
	}
	if c.gauge(t, "tidegate_catalog_errors_total", "register") != 0 {
		t.Error("the check could not be renewed")
	}
}

func tokenFor(t *testing.T, s *consultest.Server, rules string) (secret, policy string) {
	t.Helper()
	p, _, err := s.Client().ACL().PolicyCreate(&api.ACLPolicy{Name: "agent", Rules: rules}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := s.Client().ACL().TokenCreate(&api.ACLToken{Policies: []*api.ACLTokenPolicyLink{{ID: p.ID}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return token.SecretID, p.ID
}

func setRules(t *testing.T, s *consultest.Server, policy, rules string) {
	t.Helper()
	if _, _, err := s.Client().ACL().PolicyUpdate(&api.ACLPolicy{ID: policy, Name: "agent", Rules: rules}, nil); err != nil {
		t.Fatal(err)
	}
}

func TestConsulInstances(t *testing.T) {
	t.Parallel()
	s := consultest.Start(t, consultest.Config{DC: "eu-1"})
	t.Run("MaintenanceIsCriticalAndWarningIsReady", func(t *testing.T) {
		b := newBackend(t, "alarms", "alarms-1")
		placeInConsul(t, s, b, &api.AgentServiceCheck{TTL: "10m", Status: "warning"})
		defer removeFromConsul(t, s, b)
		c := observe(t, s, consulConfig(s), "", "alarms")
		await(t, c, "warning is ready", has(b, catalog.Ready))
		if err := s.Client().Agent().EnableServiceMaintenance(b.id, "upgrade"); err != nil {
			t.Fatal(err)
		}
		await(t, c, "maintenance is critical", has(b, catalog.Critical))
		if err := s.Client().Agent().DisableServiceMaintenance(b.id); err != nil {
			t.Fatal(err)
		}
		await(t, c, "ready after maintenance", has(b, catalog.Ready))
	})
	t.Run("AbsentIsDistrustedThenForgotten", func(t *testing.T) {
		stays, goes := newBackend(t, "bulk", "bulk-1"), newBackend(t, "bulk", "bulk-2")
		placeInConsul(t, s, stays, passing())
		placeInConsul(t, s, goes, passing())
		cfg := consulConfig(s)
		cfg.DistrustFor = "1s"
		c := observe(t, s, cfg, "", "bulk")
		await(t, c, "both ready", both(has(stays, catalog.Ready), has(goes, catalog.Ready)))
		removeFromConsul(t, s, goes)
		await(t, c, "distrusted", has(goes, catalog.Distrusted))
		if n := c.gauge(t, "tidegate_catalog_instances", "bulk", "distrusted"); n != 1 {
			t.Errorf("metrics count %v distrusted instances, want 1", n)
		}
		await(t, c, "forgotten", func(s *catalog.Snapshot) bool { return find(s, goes).ID == "" && has(stays, catalog.Ready)(s) })
	})
	t.Run("NodeAddressServesWhereTheServiceHasNone", func(t *testing.T) {
		if err := s.Client().Agent().ServiceRegister(&api.AgentServiceRegistration{Name: "bare", Port: 9}); err != nil {
			t.Fatal(err)
		}
		c := observe(t, s, consulConfig(s), "", "bare")
		await(t, c, "listed", func(s *catalog.Snapshot) bool { return len(s.Services["bare"]) == 1 })
		if got := c.Snapshot().Services["bare"][0].Address; got != "127.0.1.1:9" {
			t.Errorf("address %q, want the node's", got)
		}
	})
}

func TestConsulConnectionsComeFromTheEnvironment(t *testing.T) {
	s := consultest.Start(t, consultest.Config{DC: "eu-1", ACL: true})
	t.Setenv("CONSUL_HTTP_ADDR", s.Addr())
	t.Setenv("CONSUL_HTTP_TOKEN", s.Token())
	c := observe(t, s, catalog.ConsulConfig{}, "", "consul")
	await(t, c, "the consul service itself", fresh)
	if testutil.CollectAndCount(c.reg, "tidegate_catalog_age_seconds") != 1 {
		t.Error("age is not among the metrics")
	}
}
