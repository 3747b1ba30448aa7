package transport

import (
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func nobody(w http.ResponseWriter, r *http.Request) { panic("a request came through: " + r.URL.Path) }

func echoPeer(w http.ResponseWriter, r *http.Request) {
	peer, ok := PeerFrom(r.Context())
	if !ok {
		w.WriteHeader(http.StatusInternalServerError)
	}
	w.Write([]byte(peer.String()))
}

func TestTunnelTellsWhoIsAtTheOtherEnd(t *testing.T) {
	a := newTestAuthority(t)
	eu := startSite(t, a, "eu-1", "a")
	us := startSite(t, a, "us-1", "b", handler(echoPeer))
	tunnel := tunnelTo(t, eu, us)
	if got := answer(t, tunnel, request(t, t.Context(), "POST", "/x", "body")); got != eu.cfg.Self.String() {
		t.Errorf("handler saw %q", got)
	}
	if tunnel.Peer() != us.cfg.Self || tunnel.Protocol() != "quic" || tunnel.RTT() <= 0 || tunnel.InFlight() != 0 {
		t.Error(tunnel.Peer(), tunnel.Protocol(), tunnel.RTT(), tunnel.InFlight())
	}
	if got := eu.AppendTunnels(nil, "us-1"); len(got) != 1 || got[0] != tunnel || len(eu.AppendTunnels(nil, "eu-1")) != 0 {
		t.Error(got)
	}
}

func TestServerRefusesWhoIsNoPeer(t *testing.T) {
	a, stranger := newTestAuthority(t), newTestAuthority(t)
	site := startSite(t, a, "eu-1", "a", handler(nobody), func(c *MeshConfig) {
		c.Deny = func(p Peer) bool { return p.Agent == "denied" }
		c.Probes.Answer = func(Peer) []byte { return []byte("secret") }
	})
	pair := issued(t)
	for name, cert := range map[string]*tls.Certificate{
		"none":            nil,
		"device":          pair(a.IssueDevice("d1", nil, 0)),
		"edge server":     pair(a.IssueEdge([]string{"edge.test"}, 0)),
		"other authority": pair(stranger.IssueMesh("eu-1", "b", 0)),
		"denied":          pair(a.IssueMesh("eu-1", "denied", 0)),
	} {
		for _, protocol := range []string{alpnTunnel, alpnProbe} {
			if err := dialRaw(t, site, cert, protocol); err == nil {
				t.Errorf("%s is let in by %s", name, protocol)
			}
		}
	}
	for _, protocol := range []string{alpnTunnel, alpnProbe} {
		if err := dialRaw(t, site, pair(a.IssueMesh("us-1", "b", 0)), protocol); err != nil {
			t.Errorf("a peer is refused by %s: %v", protocol, err)
		}
	}
}

func TestClientRefusesAnotherAgentThanItDialled(t *testing.T) {
	a := newTestAuthority(t)
	registry := prometheus.NewRegistry()
	eu := startSite(t, a, "eu-1", "a", func(c *MeshConfig) { c.Metrics = registry })
	us := startSite(t, a, "us-1", "b")
	right := us.cfg.Self
	for _, wrong := range []Peer{{testDomain, "us-2", "b"}, {testDomain, "us-1", "c"}, {"other.test", "us-1", "b"}} {
		before := counted(t, registry, "tidegate_mesh_dials_total", "identity")
		eu.Keep([]Endpoint{{wrong, us.addr}})
		eventually(t, 3*time.Second, "refused as "+wrong.String(), func() bool {
			return counted(t, registry, "tidegate_mesh_dials_total", "identity") > before
		})
		if eu.Tunnel(wrong) != nil || eu.Tunnel(right) != nil {
			t.Errorf("tunnel to %s though it is %s", wrong, right)
		}
	}
	tunnelTo(t, eu, us)
}

// counted sums a counter's series with the label value.
func counted(t testing.TB, registry *prometheus.Registry, name, value string) (sum float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.Metric {
			for _, label := range metric.Label {
				if family.GetName() == name && label.GetValue() == value {
					sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
				}
			}
		}
	}
	return sum
}

func TestServerThatIsNoAgentIsNotDialled(t *testing.T) {
	a, stranger := newTestAuthority(t), newTestAuthority(t)
	eu := startSite(t, a, "eu-1", "a")
	impostor := startSite(t, stranger, "us-1", "b", handler(nobody))
	k := &keeper{mesh: eu.Mesh, kind: tunnelKind, peer: impostor.cfg.Self, cache: tls.NewLRUClientSessionCache(1)}
	if _, err := k.attempt(t.Context(), impostor.addr, k.dialQUIC); !errors.Is(err, ErrIdentity) {
		t.Error(err)
	}
}

func TestDenyListHoldsForOpenAndResumedSessions(t *testing.T) {
	a := newTestAuthority(t)
	eu := startSite(t, a, "eu-1", "a")
	var denied atomic.Bool
	us := startSite(t, a, "us-1", "b", func(c *MeshConfig) {
		c.Deny = func(p Peer) bool { return p == eu.cfg.Self && denied.Load() }
	})
	k := &keeper{mesh: eu.Mesh, kind: tunnelKind, peer: us.cfg.Self, cache: tls.NewLRUClientSessionCache(1)}
	dial := func() (*connection, error) { return k.attempt(t.Context(), us.addr, k.dialQUIC) }

	first, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	second := resumed(t, dial)
	denied.Store(true)
	for _, c := range []*connection{first, second} {
		select {
		case <-c.wire.done():
		case <-time.After(2 * time.Second):
			t.Fatal("an open tunnel of a denied peer stays")
		}
	}
	if c, err := dial(); err == nil {
		t.Fatal("a denied peer is let in again", c)
	}
	denied.Store(false)
	if c, err := dial(); err != nil {
		t.Fatal(err)
	} else {
		c.wire.close(nil)
	}
}

// resumed dials until the session is a resumed one: tickets come a little
// after the handshake.
func resumed(t testing.TB, dial func() (*connection, error)) (c *connection) {
	t.Helper()
	eventually(t, 5*time.Second, "session resumed", func() bool {
		if c != nil {
			c.wire.close(nil)
		}
		var err error
		if c, err = dial(); err != nil {
			t.Fatal(err)
		}
		return c.wire.(*quicWire).conn.ConnectionState().TLS.DidResume
	})
	return c
}

func TestNewCredentialsHoldForOpenAndResumedSessions(t *testing.T) {
	old, renewed := newTestAuthority(t), newTestAuthority(t)
	eu := startSite(t, old, "eu-1", "a")
	us := startSite(t, old, "us-1", "b", handler(echoPeer))
	first := tunnelTo(t, eu, us)

	replace := func(s *site, region, agent string) {
		issued, err := renewed.IssueMesh(region, agent, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.cfg.Credentials.Reload(issued.CertPEM, issued.KeyPEM, renewed.CertPEM()); err != nil {
			t.Fatal(err)
		}
	}
	replace(us, "us-1", "b")
	eventually(t, 3*time.Second, "old authority's tunnel closed", func() bool { return !first.Live() })
	if eu.Tunnel(us.cfg.Self) != nil {
		t.Fatal("let in with a certificate of the authority that is not trusted any more")
	}
	replace(eu, "eu-1", "a")
	eventually(t, 7*time.Second, "tunnel with the new authority", func() bool { return eu.Tunnel(us.cfg.Self) != nil })
	answer(t, eu.Tunnel(us.cfg.Self), request(t, t.Context(), "GET", "/", ""))
}

func TestOneAgentCannotTakeAllConnections(t *testing.T) {
	a := newTestAuthority(t)
	us := startSite(t, a, "us-1", "b", func(c *MeshConfig) { c.Limits.ConnectionsPerAgent = 2 })
	eu := startSite(t, a, "eu-1", "a")
	other := startSite(t, a, "eu-1", "other")
	bystander := tunnelTo(t, other, us)
	k := &keeper{mesh: eu.Mesh, kind: tunnelKind, peer: us.cfg.Self, cache: tls.NewLRUClientSessionCache(1)}
	var conns []*connection
	for range 4 {
		c, err := k.attempt(t.Context(), us.addr, k.dialQUIC)
		if err != nil {
			t.Fatal(err)
		}
		defer c.wire.close(nil)
		conns = append(conns, c)
	}
	for i, c := range conns {
		gone := i < 2
		if gone {
			<-c.wire.done()
		} else if !c.tunnel.Live() {
			t.Error("a newer connection gave way")
		}
	}
	if !bystander.Live() {
		t.Error("another agent's connection gave way")
	}
}

func TestConnectionsAreBoundedInAll(t *testing.T) {
	a := newTestAuthority(t)
	us := startSite(t, a, "us-1", "b", func(c *MeshConfig) { c.Limits.Connections = 1 })
	pair := issued(t)
	first := startSite(t, a, "eu-1", "a")
	tunnelTo(t, first, us)
	if err := dialRaw(t, us, pair(a.IssueMesh("eu-1", "b", 0)), alpnTunnel); err == nil {
		t.Error("a second connection is let in")
	}
	first.Close()
	eventually(t, 3*time.Second, "room again", func() bool { return us.accepted.Load() == 0 })
	if err := dialRaw(t, us, pair(a.IssueMesh("eu-1", "b", 0)), alpnTunnel); err != nil {
		t.Error(err)
	}
}

func TestHandshakeFloodMustProveItsAddress(t *testing.T) {
	a := newTestAuthority(t)
	registry := prometheus.NewRegistry()
	us := startSite(t, a, "us-1", "b", func(c *MeshConfig) {
		c.Limits.HandshakesPerSecond = 0.01
		c.Metrics = registry
	})
	cert := issued(t)(a.IssueMesh("eu-1", "b", 0))
	for range 3 {
		if err := dialRaw(t, us, cert, alpnTunnel); err != nil {
			t.Fatal("a peer with a true address is refused", err)
		}
	}
	if retries := counted(t, registry, "tidegate_mesh_refused_total", "retry"); retries < 2 { // a ClientHello may take two packets
		t.Errorf("%v retries, want one a connection but the first", retries)
	}
}

func TestConfigurationIsCheckedBeforeAnythingStarts(t *testing.T) {
	a := newTestAuthority(t)
	conn := &lossyConn{}
	good := startSite(t, a, "eu-1", "a", lossy(conn)).cfg
	for name, spoil := range map[string]func(*MeshConfig){
		"no socket":      func(c *MeshConfig) { c.Conn = nil },
		"no credentials": func(c *MeshConfig) { c.Credentials = nil },
		"another self":   func(c *MeshConfig) { c.Self.Region = "eu-2" },
		"bad limits":     func(c *MeshConfig) { c.Limits.Connections = -1 },
	} {
		cfg := good
		spoil(&cfg)
		if m, err := NewMesh(cfg); err == nil || !strings.HasPrefix(err.Error(), "mesh: ") {
			t.Errorf("%s: %v", name, err)
			m.Close()
		}
	}
}

func TestTunnelsAreCountedByState(t *testing.T) {
	a := newTestAuthority(t)
	registry := prometheus.NewRegistry()
	eu := startSite(t, a, "eu-1", "a", func(c *MeshConfig) { c.Metrics = registry })
	us := startSite(t, a, "us-1", "b")
	down := Endpoint{Peer{testDomain, "us-1", "down"}, "127.0.0.1:9"}
	tunnelTo(t, eu, us)
	eu.Keep([]Endpoint{us.endpoint(), down, eu.endpoint()})
	for state, want := range map[string]float64{"quic": 1, "down": 1, "tcp": 0} {
		if got := counted(t, registry, "tidegate_mesh_tunnels", state); got != want {
			t.Errorf("%s: %v, want %v", state, got, want)
		}
	}
}

func TestOwnStallIsNobodysSilence(t *testing.T) {
	start := time.Now()
	p := pulse{mesh: &Mesh{timing: defaultTiming()}, last: start}
	if got := p.elapsed(start.Add(50 * time.Millisecond)); got != 50*time.Millisecond {
		t.Error(got)
	}
	if got := p.elapsed(start.Add(10 * time.Second)); got != 100*time.Millisecond {
		t.Error("a stall counts as silence of", got)
	}
}
