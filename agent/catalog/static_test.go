package catalog

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2/hclsimple"

	"github.com/tidegate/tidegate/policy"
)

func TestStaticConfigurationIsReadFromHCL(t *testing.T) {
	var file struct {
		Static StaticConfig `hcl:"static,block"`
		Consul ConsulConfig `hcl:"consul,block"`
	}
	src := `
static {
  service "alarms" {
    instance {
      id      = "alarms-1"
      address = "127.0.0.1:9001"
      tags    = ["canary"]
      meta    = { version = "2" }
    }
    instance { address = "127.0.0.1:9002" }
    check {
      path     = "/health?deep=1"
      interval = "2s"
    }
  }
}
consul {
  address = "127.0.0.1:8500"
  ttl     = "20s"
}`
	if err := hclsimple.Decode("catalog.hcl", []byte(src), nil, &file); err != nil {
		t.Fatal(err)
	}
	services, err := file.Static.services()
	if err != nil {
		t.Fatal(err)
	}
	got := services["alarms"]
	want := checkPlan{"/health?deep=1", 2 * time.Second, time.Second, 2, 3}
	if got.plan != want || len(got.instances) != 2 || got.instances[1].ID != "127.0.0.1:9002" || got.instances[0].Meta["version"] != "2" {
		t.Errorf("read %+v", got)
	}
	if set, err := file.Consul.settings(); err != nil || set.ttl != 20*time.Second || set.waitTime != time.Minute || set.Reregister != 30*time.Second {
		t.Errorf("consul settings %+v, %v", set, err)
	}
}

func TestFaultsInConfigurationAreNamedAndChangeNothing(t *testing.T) {
	good := StaticInstance{Address: "127.0.0.1:1"}
	services := func(s ...StaticService) StaticConfig { return StaticConfig{s} }
	c, err := NewStatic(services(StaticService{Name: "kept", Instances: []StaticInstance{good}}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.Watch([]string{"kept"})
	for _, bad := range []struct {
		cfg   StaticConfig
		names string
	}{
		{services(StaticService{}), "no name"},
		{services(StaticService{Name: "a"}, StaticService{Name: "a"}), `"a" is there twice`},
		{services(StaticService{Name: "a", Instances: []StaticInstance{{Address: "nowhere"}}}), `"nowhere"`},
		{services(StaticService{Name: "a", Instances: []StaticInstance{{Address: "h:70000"}}}), `"h:70000"`},
		{services(StaticService{Name: "a", Instances: []StaticInstance{good, good}}), `"127.0.0.1:1" is there twice`},
		{services(StaticService{Name: "a", Check: &StaticCheck{}}), `path ""`},
		{services(StaticService{Name: "a", Check: &StaticCheck{Path: "/", Interval: "soon"}}), `interval "soon"`},
		{services(StaticService{Name: "a", Check: &StaticCheck{Path: "/", Timeout: "1h"}}), `timeout "1h"`},
		{services(StaticService{Name: "a", Check: &StaticCheck{Path: "/", Healthy: -1}}), "healthy -1"},
	} {
		err := c.Update(bad.cfg)
		if !errors.Is(err, policy.ErrInvalid) || !strings.Contains(err.Error(), bad.names) {
			t.Errorf("error %v, want one that names %s", err, bad.names)
		}
		if len(c.Snapshot().Services["kept"]) != 1 {
			t.Fatalf("%v changed the catalog", err)
		}
	}
	for _, bad := range []ConsulConfig{
		{Check: "grpc"}, {WaitTime: "1us"}, {TTL: "x"}, {DeregisterAfter: "1s"}, {Address: "gopher://x"}, {TokenFile: "/no/such/file"},
	} {
		if _, err := NewConsul(bad, Options{}); !errors.Is(err, policy.ErrInvalid) {
			t.Errorf("%+v: error %v, want ErrInvalid", bad, err)
		}
	}
}

func TestHealthFollowsItsThresholds(t *testing.T) {
	plan := checkPlan{healthy: 2, unhealthy: 3}
	for _, c := range []struct{ results, ready string }{
		{"+", "+"},           // the first answer decides
		{"-", "-"},           // either way
		{"+--+--", "++++++"}, // two failures are not three
		{"+---", "+++-"},
		{"+---+-++", "+++----+"},
	} {
		var h health
		var got strings.Builder
		for _, r := range c.results {
			h.note(r == '+', plan)
			got.WriteByte("-+"[btoi(h.status() == Ready)])
		}
		if got.String() != c.ready {
			t.Errorf("results %s: ready %s, want %s", c.results, got.String(), c.ready)
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// checked is a server that counts its checks and answers with a status.
func checked(t *testing.T, status int) (addr string, asked *atomic.Int64) {
	asked = &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.Redirect(w, r, "/elsewhere", status)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), asked
}

func runStatic(t *testing.T, cfg StaticConfig, services ...string) *Static {
	t.Helper()
	c, err := NewStatic(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.Watch(services)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return c
}

func waitFor(t *testing.T, c *Static, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not in time: %s; %+v", what, c.Snapshot())
		}
	}
}

func TestReloadKeepsTheHealthOfUnchangedInstances(t *testing.T) {
	addr, asked := checked(t, http.StatusNoContent)
	service := func(interval string, tags ...string) StaticConfig {
		return StaticConfig{[]StaticService{{
			Name: "alarms", Check: &StaticCheck{Path: "/", Interval: interval},
			Instances: []StaticInstance{{ID: "a", Address: addr, Tags: tags}},
		}}}
	}
	c := runStatic(t, service("20ms"), "alarms")
	status := func() Status { return c.Snapshot().Services["alarms"][0].Status }
	waitFor(t, c, "ready", func() bool { return status() == Ready })
	if err := c.Update(service("20ms", "canary")); err != nil {
		t.Fatal(err)
	}
	if got := c.Snapshot().Services["alarms"][0]; got.Status != Ready || len(got.Tags) != 1 {
		t.Errorf("after a change of tags: %+v, want it ready at once", got)
	}
	if err := c.Update(service("30ms", "canary")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, c, "ready under the new check", func() bool { return status() == Ready })
	c.Watch(nil)
	last := asked.Load()
	waitFor(t, c, "checks of a service nobody follows to end", func() bool {
		before := last
		last = asked.Load()
		return last == before
	})
}

func TestOnlySuccessIsAPass(t *testing.T) {
	for status, want := range map[int]Status{200: Ready, 204: Ready, 302: Critical, 404: Critical, 503: Critical} {
		addr, asked := checked(t, status)
		c := runStatic(t, StaticConfig{[]StaticService{{
			Name: "a", Check: &StaticCheck{Path: "/", Interval: "10ms"}, Instances: []StaticInstance{{Address: addr}},
		}}}, "a")
		waitFor(t, c, "a few checks", func() bool { return asked.Load() > 2 })
		if got := c.Snapshot().Services["a"][0].Status; got != want {
			t.Errorf("answer %d makes an instance %s, want %s", status, got, want)
		}
	}
}

func TestInstanceWithoutCheckIsAlwaysReady(t *testing.T) {
	c, err := NewStatic(StaticConfig{[]StaticService{{Name: "a", Instances: []StaticInstance{{Address: "127.0.0.1:1"}}}}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.Watch([]string{"a", "a"})
	s := c.Snapshot()
	if len(s.Services["a"]) != 1 || s.Services["a"][0].Status != Ready || s.Age(time.Now().Add(time.Hour)) != 0 {
		t.Errorf("snapshot %+v", s)
	}
}
