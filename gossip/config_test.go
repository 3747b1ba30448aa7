package gossip

import (
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestBadConfigurationIsRefusedWithItsReason(t *testing.T) {
	f := newFleet(t)
	cases := map[string]struct {
		change func(*Config)
		says   string
	}{
		"no key":          {func(c *Config) { c.Keyring = nil }, "no gossip encryption key"},
		"short key":       {func(c *Config) { c.Keyring = [][]byte{{1}} }, "use 16, 24 or 32"},
		"no name":         {func(c *Config) { c.Name = "" }, "agent name is empty"},
		"long region":     {func(c *Config) { c.Region = longest(64) }, "at most 63"},
		"bind host":       {func(c *Config) { c.LAN.Addr = "gossip.example:7946" }, "must be an IP address"},
		"bind port":       {func(c *Config) { c.WAN.Addr = "127.0.0.1:x" }, "is not a number"},
		"advertise":       {func(c *Config) { c.WAN.Advertise = "host" }, "needs a host and a port"},
		"unspecified v6":  {func(c *Config) { c.LAN = Bind{Addr: "[::]:7946"} }, "say what to advertise"},
		"no verify":       {func(c *Config) { c.Verify = nil }, "no Verify"},
		"other's cert":    {func(c *Config) { c.Signer = f.ca.issue(t, "eu-1", "b") }, `names agent "b"`},
		"foreign cert":    {func(c *Config) { c.Signer = newAuthority(t).issue(t, "eu-1", "a") }, "would be refused"},
		"other's key":     {func(c *Config) { c.Signer.Key = f.ca.issue(t, "eu-1", "a").Key }, "do not belong together"},
		"negative timing": {func(c *Config) { c.Timing.Load = -1 }, "must not be negative"},
		"verdict expiry":  {func(c *Config) { c.Timing.VerdictExpiry = 1 }, "expire before it is repeated"},
	}
	for name, tc := range cases {
		cfg := f.config("eu-1", "a")
		tc.change(&cfg)
		_, err := New(cfg)
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMeshWithoutKeysNeedsToBeAskedFor(t *testing.T) {
	f := newFleet(t)
	f.mod = func(c *Config) { c.Keyring, c.Insecure = nil, true }
	f.regions(map[string][]string{"eu-1": {"a", "b"}})
	within(t, 5*time.Second, "both meet in plain text", func() bool { return len(f.meshes["b"].State().Members) == 2 })
	if err := f.meshes["a"].AddKey(testKey); !errors.Is(err, ErrKeyring) {
		t.Errorf("a key without a keyring: %v", err)
	}
}

func TestTakenPortIsAnErrorAndLeavesNothingBehind(t *testing.T) {
	f := newFleet(t)
	taken, err := net.Listen("tcp", f.addr("a/lan"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(f.config("eu-1", "a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(); err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("start: %v", err)
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(); err != nil {
		t.Errorf("with the port free: %v", err)
	}
	if err := errors.Join(m.Close(), m.Close()); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := m.Start(); !errors.Is(err, ErrClosed) {
		t.Errorf("start after close: %v", err)
	}
}

func TestTakenWANPortIsTriedAgain(t *testing.T) {
	f := newFleet(t)
	taken, err := net.ListenPacket("udp", f.addr("a/wan"))
	if err != nil {
		t.Fatal(err)
	}
	m := f.start("eu-1", "a", nil, nil)
	within(t, 5*time.Second, "gateway without a WAN pool", func() bool { return m.State().IsLead })
	if m.WANAddr() != "" {
		t.Errorf("WAN pool at %s", m.WANAddr())
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	within(t, 5*time.Second, "the WAN pool opens once the port is free", func() bool { return m.WANAddr() == f.addr("a/wan") })
}

func TestThreeMeshesInOneProcessKeepTheirMetricsApart(t *testing.T) {
	f := newFleet(t)
	f.regions(map[string][]string{"eu-1": {"a", "b", "c"}})
	for _, name := range []string{"a", "b", "c"} {
		within(t, 5*time.Second, "memberlist's samples of "+name, func() bool {
			return f.metric(name, "memberlist_udp_received", "agent", name, "pool", "lan") > 0
		})
		if f.metric(name, "tidegate_gossip_members", "pool", "lan") < 1 {
			t.Errorf("%s counts no members", name)
		}
	}
	shared := f.config("eu-1", "a")
	shared.Metrics = f.regs["b"]
	m, err := New(shared)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(); !errors.Is(err, ErrConfig) {
		t.Errorf("one registry for two agents: %v", err)
	}
	if err := f.meshes["a"].Close(); err != nil {
		t.Fatal(err)
	}
	if left := f.metric("a", "memberlist_udp_received"); left != -1 {
		t.Error("series stay after Close")
	}
}

func TestRenewedCertificateIsUsed(t *testing.T) {
	f := newFleet(t)
	f.regions(map[string][]string{"eu-1": {"a", "b"}})
	within(t, 5*time.Second, "a lead", func() bool { return f.lead("eu-1") != nil })
	lead := f.lead("eu-1")
	other := f.meshes["a"]
	if other == lead {
		other = f.meshes["b"]
	}
	if err := lead.SetSigner(f.ca.issue(t, "us-1", "a")); !errors.Is(err, ErrConfig) {
		t.Errorf("a certificate of another region: %v", err)
	}
	if err := lead.SetSigner(f.ca.issue(t, "eu-1", lead.cfg.Name)); err != nil {
		t.Fatal(err)
	}
	id := lead.signer.Load().id
	within(t, 5*time.Second, "digests under the new key are believed", func() bool {
		other.mu.Lock()
		defer other.mu.Unlock()
		r := other.book.regions["eu-1"]
		return r != nil && r.digestKey == id
	})
}

func TestDrainingIsToldToMembersAndInReports(t *testing.T) {
	f := newFleet(t)
	f.regions(map[string][]string{"eu-1": {"a", "b"}})
	within(t, 5*time.Second, "a region of two", func() bool {
		v := f.meshes["b"].State().Regions["eu-1"].Vector
		return v != nil && len(v.Agents) == 2
	})
	if err := f.meshes["a"].Publish(Load{Draining: true}); err != nil {
		t.Fatal(err)
	}
	within(t, 3*time.Second, "b sees a drain, not the region", func() bool {
		s := f.meshes["b"].State()
		v := s.Regions["eu-1"].Vector
		i := slices.IndexFunc(v.Agents, func(a AgentInfo) bool { return a.Name == "a" })
		return s.Members[0].Draining && i >= 0 && v.Agents[i].Draining && !v.Draining
	})
	if err := f.meshes["b"].Publish(Load{Draining: true}); err != nil {
		t.Fatal(err)
	}
	within(t, 3*time.Second, "the region drains once all do", func() bool {
		r := f.meshes["a"].State().Regions["eu-1"]
		return r.Vector.Draining && r.Digest.Draining
	})
}

func TestDefaultTimingIsValid(t *testing.T) {
	for name, timing := range map[string]Timing{"default": DefaultTiming(), "dev": DevTiming(), "empty": Timing{}.withDefaults()} {
		if err := timing.check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := (Timing{}).withDefaults(); got != DefaultTiming() {
		t.Errorf("an empty timing is not the default: %+v", got)
	}
}

func TestMemberlistLinesBecomeRecords(t *testing.T) {
	for line, want := range map[string]struct {
		level slog.Level
		text  string
	}{
		"[ERR] memberlist: Failed to x\n": {slog.LevelWarn, "Failed to x"},
		"[WARN] memberlist: slow\n":       {slog.LevelWarn, "slow"},
		"[DEBUG] memberlist: y":           {slog.LevelDebug, "y"},
		"[INFO] z":                        {slog.LevelInfo, "z"},
		"Err: no tag":                     {slog.LevelInfo, "Err: no tag"},
		"":                                {slog.LevelInfo, ""},
	} {
		level, text := splitLogLine([]byte(line))
		if level != want.level || string(text) != want.text {
			t.Errorf("%q: %s %q", line, level, text)
		}
	}
}

func TestFloodOfLogLinesIsBounded(t *testing.T) {
	var out strings.Builder
	w := newLogWriter(slog.New(slog.NewTextHandler(&out, nil)), "lan").standard()
	for range 10 * logLinesBurst {
		w.Print("[ERR] memberlist: Decrypt packet failed")
	}
	if n := strings.Count(out.String(), "\n"); n > 2*logLinesBurst {
		t.Errorf("%d lines were written", n)
	}
}

func TestRegistryCanBeUsedAgainAfterClose(t *testing.T) {
	f := newFleet(t)
	reg := prometheus.NewRegistry()
	f.mod = func(c *Config) { c.Metrics = reg }
	for range 2 {
		m := f.start("eu-1", "a", nil, nil)
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
