package transport

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// quick falls back to TCP soon and looks for QUIC often.
func quick() timing {
	t := defaultTiming()
	t.dial = 300 * time.Millisecond
	t.backoffMax = 100 * time.Millisecond
	t.tcpAfter = 1
	t.retryQUIC = 300 * time.Millisecond
	return t
}

// withTCP serves TCP on the UDP socket's port, moving to one where both are
// free.
func withTCP(c *MeshConfig) {
	for {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		conn, err := net.ListenPacket("udp", listener.Addr().String())
		if err == nil {
			c.Conn.Close()
			c.Conn, c.TCPListener = conn, listener
			return
		}
		listener.Close()
	}
}

func dialsTCP(c *MeshConfig) { c.TCPDial = (&net.Dialer{}).DialContext }

// udpBlocked returns two sites between which only TCP passes.
func udpBlocked(t *testing.T, a *Authority, h http.HandlerFunc, near ...option) (eu, us *site) {
	eu, us, _ = udpGate(t, a, h, near, nil)
	return eu, us
}

func udpGate(t *testing.T, a *Authority, h http.HandlerFunc, near, far []option) (eu, us *site, gate *lossyConn) {
	t.Helper()
	gate = &lossyConn{}
	gate.cut.Store(true)
	eu = startTimed(t, quick(), a, "eu-1", "a", append([]option{lossy(gate), dialsTCP}, near...)...)
	us = startTimed(t, quick(), a, "us-1", "b", append([]option{withTCP, handler(h)}, far...)...)
	return eu, us, gate
}

func TestTunnelFallsBackToTCPAndReturnsToQUIC(t *testing.T) {
	a := newTestAuthority(t)
	eu, us, gate := udpGate(t, a, echoPeer, nil, nil)
	tunnel := tunnelTo(t, eu, us)
	if got := answer(t, tunnel, request(t, t.Context(), "GET", "/", "")); got != eu.cfg.Self.String() || tunnel.Protocol() != "tcp" {
		t.Fatal(got, tunnel.Protocol())
	}
	if tunnel.RTT() <= 0 {
		t.Error("no RTT")
	}
	gate.cut.Store(false)
	eventually(t, 5*time.Second, "back on QUIC", func() bool {
		next := eu.Tunnel(us.cfg.Self)
		return next != nil && next.Protocol() == "quic"
	})
	answer(t, eu.Tunnel(us.cfg.Self), request(t, t.Context(), "GET", "/", ""))
	eventually(t, 2*time.Second, "TCP connection closed", func() bool {
		select {
		case <-tunnel.wire.done():
			return true
		default:
			return false
		}
	})
}

func TestTCPTunnelStaysWhileQUICIsTriedInVain(t *testing.T) {
	a := newTestAuthority(t)
	var dials atomic.Int64
	eu, us := udpBlocked(t, a, echoPeer, func(c *MeshConfig) {
		c.TCPDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}
	})
	tunnel := tunnelTo(t, eu, us)
	before := time.Now()
	eventually(t, 5*time.Second, "two vain attempts", func() bool { return time.Since(before) > time.Second })
	if eu.Tunnel(us.cfg.Self) != tunnel || dials.Load() != 1 {
		t.Errorf("%d dials, same tunnel: %v", dials.Load(), eu.Tunnel(us.cfg.Self) == tunnel)
	}
}

func TestTCPIsTriedAfterThreeFailedQUICDials(t *testing.T) {
	a := newTestAuthority(t)
	timing := quick()
	timing.tcpAfter = defaultTiming().tcpAfter
	timing.dial = 100 * time.Millisecond
	registry := prometheus.NewRegistry()
	failed := make(chan float64, 1)
	eu := startTimed(t, timing, a, "eu-1", "a", func(c *MeshConfig) {
		c.Metrics = registry
		c.TCPDial = func(context.Context, string, string) (net.Conn, error) {
			select {
			case failed <- counted(t, registry, "tidegate_mesh_dials_total", "timeout"):
			default:
			}
			return nil, net.ErrClosed
		}
	})
	eu.Keep([]Endpoint{{Peer{testDomain, "us-1", "b"}, "127.0.0.1:9"}})
	if n := <-failed; n != 3 {
		t.Errorf("TCP is tried after %v failures", n)
	}
}

func TestTCPServerRefusesWhoIsNoPeer(t *testing.T) {
	a, stranger := newTestAuthority(t), newTestAuthority(t)
	us := startTimed(t, quick(), a, "us-1", "b", withTCP, handler(nobody))
	pair := issued(t)
	for name, cert := range map[string]*tls.Certificate{
		"none":            nil,
		"device":          pair(a.IssueDevice("d1", nil, 0)),
		"other authority": pair(stranger.IssueMesh("eu-1", "a", 0)),
	} {
		conn, err := tls.Dial("tcp", us.addr, rawTLS(cert, alpnTCP))
		if err == nil {
			conn.SetDeadline(time.Now().Add(3 * time.Second))
			_, err = conn.Read(make([]byte, 1))
			conn.Close()
		}
		if err == nil {
			t.Errorf("%s is let in", name)
		}
	}
}

func TestProbesFallBackToTCP(t *testing.T) {
	a := newTestAuthority(t)
	events := newProbeEvents()
	events.want.Store(true)
	eu, us, _ := udpGate(t, a, nobody, []option{events.listen}, []option{func(c *MeshConfig) {
		c.Probes.Answer = func(Peer) []byte { return []byte("status") }
		c.Probes.Vector = func(have []byte) []byte { return append([]byte("vector after "), have...) }
	}})
	eu.Probe([]Endpoint{us.endpoint()})
	eventually(t, 5*time.Second, "heard, measured, status and vector", func() bool {
		return events.heard.Load() > 0 && events.rtts.Load() > 1 && events.status() == "status" && events.vectors.Load() > 0 && *events.vector.Load() == "vector after what I have"
	})
}
