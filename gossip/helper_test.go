package gossip

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

// A probe of memberlist's that began before Close ends by itself, up to eight
// probe intervals later when the machine is slow.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"))
}

// authority issues stand-ins for certificates: region, agent and public key,
// signed by the authority.
type authority struct {
	pub ed25519.PublicKey
	key ed25519.PrivateKey

	mu      sync.Mutex
	revoked map[string]bool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{pub: pub, key: key, revoked: make(map[string]bool)}
}

func (a *authority) issue(t testing.TB, region, agent string) Signer {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	body := append([]byte(region+"\n"+agent+"\n"), pub...)
	return Signer{CertDER: append(ed25519.Sign(a.key, body), body...), Key: key}
}

func (a *authority) verify(der []byte) (region, agent string, pub ed25519.PublicKey, err error) {
	if len(der) < ed25519.SignatureSize || !ed25519.Verify(a.pub, der[ed25519.SignatureSize:], der[:ed25519.SignatureSize]) {
		return "", "", nil, errors.New("unknown authority")
	}
	parts := bytes.SplitN(der[ed25519.SignatureSize:], []byte("\n"), 3)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.revoked[string(parts[1])] {
		return "", "", nil, errors.New("revoked")
	}
	return string(parts[0]), string(parts[1]), ed25519.PublicKey(parts[2]), nil
}

// quickTiming finds dead members in about a second.
func quickTiming() Timing {
	t := DevTiming()
	t.LAN.ProbeInterval, t.LAN.ProbeTimeout, t.LAN.SuspicionMult = 250*time.Millisecond, 200*time.Millisecond, 3
	t.WAN = t.LAN
	t.Settle, t.GatewayDown = 200*time.Millisecond, time.Second
	t.Tick, t.Load, t.Digest = 20*time.Millisecond, 100*time.Millisecond, 200*time.Millisecond
	t.Delta = 100 * time.Millisecond
	t.VectorChange, t.VectorRepeat = 100*time.Millisecond, 300*time.Millisecond
	t.LeadSilence = 600 * time.Millisecond
	t.RejoinMax = 500 * time.Millisecond
	return t
}

var testKey = bytes.Repeat([]byte{7}, 32)

// fleet is a mesh of several agents under one authority.
type fleet struct {
	t      testing.TB
	ca     *authority
	ports  map[string]int // of agents' pools, so that a restart finds them again
	net    *network
	meshes map[string]*Mesh
	regs   map[string]*prometheus.Registry
	mod    func(*Config)
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	t.Parallel() // the tests wait more than they work
	return &fleet{
		t: t, ca: newAuthority(t), net: newNetwork(), ports: make(map[string]int),
		meshes: make(map[string]*Mesh), regs: make(map[string]*prometheus.Registry),
	}
}

func (f *fleet) config(region, name string) Config {
	reg := prometheus.NewRegistry()
	f.regs[name] = reg
	cfg := Config{
		Name: name, Region: region, Group: "test",
		Meta:    Meta{MeshAddr: name + ":7444", EdgeAddr: name + ":7443", Version: "test"},
		LAN:     Bind{Addr: f.addr(name + "/lan")},
		WAN:     Bind{Addr: f.addr(name + "/wan")},
		Keyring: [][]byte{testKey},
		Signer:  f.ca.issue(f.t, region, name),
		Verify:  f.ca.verify,
		Timing:  quickTiming(),
		Logger:  testLogger(name),
		Metrics: reg,
		Transport: func(_ string, cfg *memberlist.Config) (memberlist.Transport, error) {
			return f.net.wrap(name, cfg)
		},
	}
	if f.mod != nil {
		f.mod(&cfg)
	}
	return cfg
}

func (f *fleet) addr(key string) string {
	if f.ports[key] == 0 {
		f.ports[key] = freePort(f.t)
	}
	return fmt.Sprintf("127.0.0.1:%d", f.ports[key])
}

// start brings up an agent that knows the first agent of its region and of
// each other region.
func (f *fleet) start(region, name string, lan, wan []string) *Mesh {
	f.t.Helper()
	return f.run(f.config(region, name), lan, wan)
}

func (f *fleet) run(cfg Config, lan, wan []string) *Mesh {
	f.t.Helper()
	m, err := New(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := m.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		if err := m.Close(); err != nil {
			f.t.Errorf("close %s: %v", cfg.Name, err)
		}
	})
	m.Join(lan, wan)
	f.meshes[cfg.Name] = m
	return m
}

// regions starts the named agents, each region's apart.
func (f *fleet) regions(agents map[string][]string) {
	f.t.Helper()
	var wan []string
	for _, names := range agents {
		for _, name := range names {
			wan = append(wan, f.addr(name+"/wan"))
		}
	}
	for region, names := range agents {
		for _, name := range names {
			f.start(region, name, []string{f.addr(names[0] + "/lan")}, wan)
		}
	}
}

func (f *fleet) lead(region string) *Mesh {
	for _, m := range f.meshes {
		if m.cfg.Region == region && m.State().IsLead {
			return m
		}
	}
	return nil
}

// nextPort stays below the range that outgoing connections take theirs from,
// so that a restarted agent finds its port free.
var nextPort atomic.Int64

func init() { nextPort.Store(20_000 + mathrand.Int64N(10_000)) }

func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", nextPort.Add(1))
		tcp, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		udp, err := net.ListenPacket("udp", addr)
		_ = tcp.Close()
		if err == nil {
			_ = udp.Close()
			return portOf(addr)
		}
	}
	t.Fatal("no free port")
	return 0
}

// within polls until the condition holds.
func within(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within %s: %s", limit, what)
		case <-ticker.C:
		}
	}
}

// throughout checks that a condition never fails for a while.
func throughout(t testing.TB, span time.Duration, what string, holds func() bool) {
	t.Helper()
	end := time.NewTimer(span)
	defer end.Stop()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		if !holds() {
			t.Fatalf("did not stay: %s", what)
		}
		select {
		case <-end.C:
			return
		case <-ticker.C:
		}
	}
}

func (f *fleet) dropped(name, reason string) float64 {
	f.t.Helper()
	return f.metric(name, "tidegate_gossip_frames_dropped_total", "reason", reason)
}

func (f *fleet) metric(name, metric string, labels ...string) float64 {
	f.t.Helper()
	families, err := f.regs[name].Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != metric {
			continue
		}
		for _, series := range family.GetMetric() {
			have := make(map[string]string)
			for _, l := range series.GetLabel() {
				have[l.GetName()] = l.GetValue()
			}
			fits := true
			for i := 0; i < len(labels); i += 2 {
				fits = fits && have[labels[i]] == labels[i+1]
			}
			if fits {
				return series.GetCounter().GetValue() + series.GetGauge().GetValue()
			}
		}
	}
	return -1
}

func testLogger(name string) *slog.Logger {
	if !testing.Verbose() {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, nil)).With("agent", name)
}

func idleQueue() *memberlist.TransmitLimitedQueue {
	return &memberlist.TransmitLimitedQueue{NumNodes: func() int { return 1 }, RetransmitMult: 1}
}
