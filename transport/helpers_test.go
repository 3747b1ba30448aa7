package transport

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	goleak.VerifyTestMain(m)
}

const testDomain = "mesh.test"

func newTestAuthority(t testing.TB) *Authority {
	t.Helper()
	a, err := NewAuthority("test", testDomain, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func meshCredentials(t testing.TB, a *Authority, region, agent string) *Credentials {
	t.Helper()
	issued, err := a.IssueMesh(region, agent, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := issued.Credentials(a)
	if err != nil {
		t.Fatal(err)
	}
	return credentials
}

// site is one agent's mesh in a test.
type site struct {
	*Mesh
	addr string
}

func (s *site) endpoint() Endpoint { return Endpoint{s.cfg.Self, s.addr} }

type option func(*MeshConfig)

func handler(h http.HandlerFunc) option { return func(c *MeshConfig) { c.Handler = h } }

func onAddr(addr string) option {
	return func(c *MeshConfig) {
		c.Conn.Close()
		conn, err := net.ListenPacket("udp", addr)
		if err != nil {
			panic(err)
		}
		c.Conn = conn
	}
}

func startSite(t testing.TB, a *Authority, region, agent string, options ...option) *site {
	t.Helper()
	return startTimed(t, defaultTiming(), a, region, agent, options...)
}

func startTimed(t testing.TB, timing timing, a *Authority, region, agent string, options ...option) *site {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	credentials := meshCredentials(t, a, region, agent)
	cfg := MeshConfig{Self: credentials.Self(), Conn: conn, Credentials: credentials}
	for _, o := range options {
		o(&cfg)
	}
	m, err := newMesh(cfg, timing)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return &site{m, cfg.Conn.LocalAddr().String()}
}

// eventually polls until cond holds.
func eventually(t testing.TB, within time.Duration, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline:
			t.Fatalf("not within %v: %s", within, what)
		case <-tick.C:
		}
	}
}

// tunnelTo keeps a tunnel and waits for it.
func tunnelTo(t testing.TB, from, to *site) *Tunnel {
	t.Helper()
	from.Keep([]Endpoint{to.endpoint()})
	eventually(t, 5*time.Second, "tunnel up", func() bool { return from.Tunnel(to.cfg.Self) != nil })
	return from.Tunnel(to.cfg.Self)
}

func request(t testing.TB, ctx context.Context, method, path, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, "https://service"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func answer(t testing.TB, tunnel *Tunnel, req *http.Request) string {
	t.Helper()
	resp, err := tunnel.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// lossyConn loses everything while cut.
type lossyConn struct {
	net.PacketConn
	cut atomic.Bool
}

func lossy(c *lossyConn) option {
	return func(cfg *MeshConfig) {
		c.PacketConn = cfg.Conn
		cfg.Conn = c
	}
}

func (c *lossyConn) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, addr, err := c.PacketConn.ReadFrom(p)
		if err != nil || !c.cut.Load() {
			return n, addr, err
		}
	}
}

func (c *lossyConn) WriteTo(p []byte, addr net.Addr) (int, error) {
	if c.cut.Load() {
		return len(p), nil
	}
	return c.PacketConn.WriteTo(p, addr)
}

// dialRaw speaks QUIC to a site with any certificate and returns what becomes
// of the connection: nil when the server still keeps it after its SETTINGS.
func dialRaw(t testing.TB, to *site, cert *tls.Certificate, protocol string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := quic.DialAddr(ctx, to.addr, rawTLS(cert, protocol), &quic.Config{EnableDatagrams: true})
	if err != nil {
		return err
	}
	defer conn.CloseWithError(0, "")
	if protocol == alpnTunnel {
		_, err = conn.AcceptUniStream(ctx)
		return err
	}
	if err := conn.SendDatagram(appendPing(nil, 1)); err != nil {
		return err
	}
	_, err = conn.ReceiveDatagram(ctx)
	return err
}

func rawTLS(cert *tls.Certificate, protocol string) *tls.Config {
	cfg := &tls.Config{NextProtos: []string{protocol}, InsecureSkipVerify: true}
	if cert != nil {
		cfg.Certificates = []tls.Certificate{*cert}
	}
	return cfg
}
