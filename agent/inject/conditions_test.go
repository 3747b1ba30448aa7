package inject

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport/fault"
)

func begin(t *testing.T, c *Conditions, f admin.Fault) func() {
	t.Helper()
	f.ID = "try"
	end, err := c.Begin(f)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := end(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// Each packet between two agents is spoilt once, by the agent that sends it.
func TestTheAgentThatSendsLosesThePacket(t *testing.T) {
	for _, c := range []struct {
		at     string
		fault  admin.Fault
		from   string // of the rule that is made; empty: none
		direct fault.Direction
		drop   float64
	}{
		{"a", admin.Fault{Kind: admin.FaultCut, From: "a", To: "b"}, "a", fault.Out, 1},
		{"b", admin.Fault{Kind: admin.FaultCut, From: "a", To: "b"}, "b", fault.Out, 1},
		{"b", admin.Fault{Kind: admin.FaultCut, From: "a", To: "b", OneWay: true}, "", 0, 0},
		{"c", admin.Fault{Kind: admin.FaultCut, From: "a", To: "b"}, "", 0, 0},
		{"a", admin.Fault{Kind: admin.FaultLoss, From: "a", To: "b", Share: "20%"}, "a", fault.Out, 0.2},
		{"b", admin.Fault{Kind: admin.FaultLatency, From: "a", To: "b", Delay: "1s"}, "b", fault.Out, 0},
		{"a", admin.Fault{Kind: admin.FaultRegionOutage, Region: "a"}, "a", fault.Both, 1},
		{"b", admin.Fault{Kind: admin.FaultRegionOutage, Region: "a"}, "", 0, 0},
		{"a", admin.Fault{Kind: admin.FaultCatalogDown, Region: "a"}, "", 0, 0},
	} {
		got, mine := RuleAt(c.at, &c.fault)
		if mine != (c.from != "") || mine && (got.From.Regions[0] != c.from || got.Direction != c.direct || got.Drop != c.drop) {
			t.Errorf("at %s, %s: %+v %v", c.at, c.fault.String(), got, mine)
		}
	}
}

func TestAnAgentKnowsWhoseAddressItIs(t *testing.T) {
	c := NewConditions("a1", "a", nil)
	addr := netip.MustParseAddrPort
	if got := c.regionOf(addr("10.0.0.1:7444")); got != "" {
		t.Errorf("before anything is known: %q", got)
	}
	c.Learn(map[netip.AddrPort]string{addr("10.0.0.1:7444"): "a", addr("10.0.0.2:7444"): "b", addr("10.0.0.3:1"): "a"})
	c.Learn(map[netip.AddrPort]string{addr("10.0.0.3:2"): "b", addr("[::ffff:10.0.0.4]:1"): "b"})
	for text, want := range map[string]string{
		"10.0.0.1:7444": "a", "10.0.0.2:55555": "b", "10.0.0.3:1": "a", "10.0.0.3:2": "b",
		"10.0.0.3:3": "", // of both
		"10.0.0.9:1": "", "0.0.0.0:7444": "a", "[::]:7444": "a", "10.0.0.4:9": "b",
	} {
		if got := c.regionOf(addr(text)); got != want {
			t.Errorf("%s is of %q, not %q", text, got, want)
		}
	}
}

func TestAServiceFaultMeetsWhatItNames(t *testing.T) {
	c := NewConditions("a1", "a", nil)
	if c.Spoils("alarms", policy.Critical, "d") != nil {
		t.Error("without a fault")
	}
	over := begin(t, c, admin.Fault{Kind: admin.FaultServiceFault, Region: "a", Service: "alarms", Class: "bulk", Status: 503, Delay: "20ms"})
	if f := c.Spoils("alarms", policy.Bulk, "d"); f == nil || f.Status != 503 || f.Delay != 20*time.Millisecond {
		t.Errorf("what it names: %+v", f)
	}
	if c.Spoils("alarms", policy.Critical, "d") != nil || c.Spoils("other", policy.Bulk, "d") != nil || c.Unready("alarms") {
		t.Error("another class, or service, or its checks")
	}
	if over(); c.Spoils("alarms", policy.Bulk, "d") != nil {
		t.Error("after its end")
	}
	begin(t, c, admin.Fault{Kind: admin.FaultServiceFault, Region: "b", Service: "alarms", Status: 503})
	if c.Spoils("alarms", policy.Bulk, "d") != nil {
		t.Error("of another region")
	}
	over = begin(t, c, admin.Fault{Kind: admin.FaultInstanceFailure, Region: "a", Service: "alarms"})
	if f := c.Spoils("alarms", policy.Bulk, ""); f == nil || f.Status != 500 || !c.Unready("alarms") || c.Unready("other") {
		t.Errorf("instances that fail: %+v", f)
	}
	over()
	begin(t, c, admin.Fault{Kind: admin.FaultServiceFault, Region: "a", Service: "alarms", Status: 500, Share: "30%"})
	spoilt := 0
	for range 10_000 {
		if c.Spoils("alarms", policy.Bulk, "") != nil {
			spoilt++
		}
	}
	if math.Abs(float64(spoilt)-3000) > 250 { // more than five standard deviations
		t.Errorf("%d of 10,000 requests, not 30 %%", spoilt)
	}
}

func TestAShareOfDevicesIsThatLargeAndAlwaysTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		share := rapid.Float64Range(0.05, 0.95).Draw(t, "share")
		prefix := rapid.StringMatching(`[a-z]{0,12}-`).Draw(t, "prefix")
		among := 0
		for n := range 4000 {
			device := fmt.Sprintf("%s%d", prefix, n)
			if Among(device, share) {
				among++
				if !Among(device, min(share+0.01, 1)) {
					t.Fatalf("%s is among a share and not among a larger one", device)
				}
			}
		}
		if got := float64(among) / 4000; math.Abs(got-share) > 0.05 {
			t.Fatalf("%.3f of devices, not %.3f", got, share)
		}
	})
}

func TestAClockIsOffUntilItsFaultIsOver(t *testing.T) {
	c := NewConditions("a1", "a", nil)
	off := func() time.Duration { return time.Until(c.Now()).Round(time.Minute) }
	begin(t, c, admin.Fault{Kind: admin.FaultClockJump, Agent: "a2", By: "1h"})
	if off() != 0 {
		t.Errorf("another's clock: off by %s", off())
	}
	over := begin(t, c, admin.Fault{Kind: admin.FaultClockJump, Agent: "a1", By: "-90m"})
	if off() != -90*time.Minute {
		t.Errorf("off by %s", off())
	}
	if over(); off() != 0 {
		t.Errorf("afterwards off by %s", off())
	}
}

func TestOnlyTheAgentThatIsNamedCrashes(t *testing.T) {
	crashed := 0
	c := NewConditions("a1", "a", func() { crashed++ })
	begin(t, c, admin.Fault{Kind: admin.FaultAgentCrash, Agent: "a2"})
	if crashed != 0 {
		t.Error("another's crash")
	}
	if begin(t, c, admin.Fault{Kind: admin.FaultAgentCrash, Agent: "a1"}); crashed != 1 {
		t.Error("its own did not come")
	}
	if _, err := c.Begin(admin.Fault{Kind: admin.FaultCapacity, Region: "a", Share: "50%"}); !errors.Is(err, policy.ErrInvalid) {
		t.Errorf("a capacity that nobody here has: %v", err)
	}
}

// A query that waits for Consul to change fails at once, and so do those after it.
func TestACatalogThatIsDownFailsWhatIsUnderWay(t *testing.T) {
	arrived := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/waits" {
			arrived <- struct{}{}
			<-r.Context().Done()
			return
		}
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		if r.URL.Path == "/streams" {
			arrived <- struct{}{}
			<-r.Context().Done()
		}
	}))
	defer server.Close()
	c := NewConditions("a1", "a", nil)
	client := &http.Client{Transport: c.Catalog.Through(http.DefaultTransport)}
	defer client.CloseIdleConnections()
	get := func(path string) error {
		resp, err := client.Get(server.URL + path)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.ReadAll(resp.Body)
		return err
	}
	if err := get("/"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/waits", "/streams"} {
		failed := make(chan error, 1)
		go func() { failed <- get(path) }()
		<-arrived
		over := begin(t, c, admin.Fault{Kind: admin.FaultCatalogDown, Region: "a"})
		select {
		case err := <-failed:
			if err == nil {
				t.Errorf("%s: no error", path)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%s goes on", path)
		}
		if err := get("/"); !errors.Is(err, ErrInjected) {
			t.Errorf("the next: %v", err)
		}
		if over(); get("/") != nil {
			t.Error("it is not back")
		}
	}
}
