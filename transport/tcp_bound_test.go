package transport

import (
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// inMidHandshake connects to a site over TCP and says nothing.
func inMidHandshake(t *testing.T, to *site) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", to.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func handshaking(s *site) func() bool {
	return func() bool { return len(s.tcp.handshakes) == s.cfg.Limits.HandshakesTCP }
}

func TestStrangersInMidHandshakeOverTCPKeepNoPeerOut(t *testing.T) {
	a := newTestAuthority(t)
	registry := prometheus.NewRegistry()
	us := startSite(t, a, "us-1", "b", withTCP, handler(echoPeer), func(c *MeshConfig) {
		c.Limits = Limits{Connections: 2, HandshakesTCP: 2}
		c.Metrics = registry
	})
	for range 2 {
		inMidHandshake(t, us)
	}
	eventually(t, 5*time.Second, "all are in mid-handshake", handshaking(us))
	late := inMidHandshake(t, us)
	late.SetDeadline(time.Now().Add(3 * time.Second))
	if _, err := late.Read(make([]byte, 1)); err == nil {
		t.Error("one more is answered")
	} else if late, ok := err.(net.Error); ok && late.Timeout() {
		t.Error("one more is kept")
	}
	if n := counted(t, registry, "tidegate_mesh_refused_total", "handshakes"); n != 1 {
		t.Errorf("%v counted as refused", n)
	}
	eu := startSite(t, a, "eu-1", "a")
	if got := answer(t, tunnelTo(t, eu, us), request(t, t.Context(), "GET", "/", "")); got != eu.cfg.Self.String() {
		t.Errorf("the peer got %q", got)
	}
	if !handshaking(us)() {
		t.Error("the peer was let in only after strangers left")
	}
}

func TestPeersOverTCPGiveTheirHandshakesPlaceBack(t *testing.T) {
	a := newTestAuthority(t)
	one := func(c *MeshConfig) { c.Limits.HandshakesTCP = 1 }
	eu, us, gate := udpGate(t, a, echoPeer, nil, []option{one})
	tunnelTo(t, eu, us)
	ap := startTimed(t, quick(), a, "ap-1", "c", dialsTCP, func(c *MeshConfig) {
		blocked := &lossyConn{}
		blocked.cut.Store(gate.cut.Load())
		lossy(blocked)(c)
	})
	tunnelTo(t, ap, us)
	if n := us.accepted.Load(); n != 2 {
		t.Errorf("%d of Connections are taken by two peers", n)
	}
}
