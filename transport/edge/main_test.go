package edge

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"go.uber.org/goleak"

	"github.com/tidegate/tidegate/transport"
)

const (
	testDomain = "edge.test"
	testHost   = "localhost"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bench is one edge with what its clients need.
type bench struct {
	mqtt string
	*Server
	authority *transport.Authority
	registry  *prometheus.Registry
	tcp       string
	udp       *net.UDPAddr
}

func newAuthority(t testing.TB) *transport.Authority {
	return must[*transport.Authority](t)(transport.NewAuthority("test", testDomain, 0))
}

func newBench(t testing.TB, handler http.HandlerFunc, change func(*Config)) *bench {
	t.Helper()
	b := &bench{authority: newAuthority(t), registry: prometheus.NewRegistry()}
	cert := must[tls.Certificate](t)(must[transport.Issued](t)(b.authority.IssueEdge([]string{testHost, "127.0.0.1"}, 0)).TLS())
	conn := must[*net.UDPConn](t)(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	pool := b.authority.Pool()
	cfg := Config{
		Conn: conn, TCP: must[net.Listener](t)(net.Listen("tcp4", "127.0.0.1:0")),
		Certificate: func() *tls.Certificate { return &cert },
		ClientCAs:   func() *x509.CertPool { return pool }, TrustDomain: testDomain,
		Handler: handler, Metrics: b.registry,
	}
	if change != nil {
		change(&cfg)
	}
	b.Server = must[*Server](t)(Listen(cfg))
	b.tcp, b.udp = cfg.TCP.Addr().String(), conn.LocalAddr().(*net.UDPAddr)
	b.Start()
	t.Cleanup(func() { check(t, b.Close()) })
	return b
}

func (b *bench) clientTLS(certs ...tls.Certificate) *tls.Config {
	return &tls.Config{RootCAs: b.authority.Pool(), ServerName: testHost, Certificates: certs}
}

func (b *bench) device(t testing.TB, id string) tls.Certificate {
	return must[tls.Certificate](t)(must[transport.Issued](t)(b.authority.IssueDevice(id, map[string]string{"tenant": "acme"}, 0)).TLS())
}

// protocols are the three ways a device may come.
var protocols = []string{"h3", "h2", "h1"}

// client speaks one protocol only.
func (b *bench) client(t testing.TB, proto string, certs ...tls.Certificate) *http.Client {
	t.Helper()
	if proto == "h3" {
		return b.client3(t, certs...)
	}
	tr := &http.Transport{TLSClientConfig: b.clientTLS(certs...), Protocols: new(http.Protocols), DisableCompression: true}
	tr.Protocols.SetHTTP1(proto == "h1")
	tr.Protocols.SetHTTP2(proto == "h2")
	tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, b.tcp)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

func (b *bench) client3(t testing.TB, certs ...tls.Certificate) *http.Client {
	t.Helper()
	socket := must[*net.UDPConn](t)(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	dialer := &quic.Transport{Conn: socket}
	tr := &http3.Transport{
		TLSClientConfig: b.clientTLS(certs...), DisableCompression: true,
		Dial: func(ctx context.Context, _ string, tc *tls.Config, qc *quic.Config) (*quic.Conn, error) {
			return dialer.DialEarly(ctx, b.udp, tc, qc)
		},
	}
	t.Cleanup(func() { tr.Close(); dialer.Close(); socket.Close() })
	return &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

func (b *bench) dialQUIC(t testing.TB, conf *tls.Config) (*quic.Conn, error) {
	t.Helper()
	return b.dial(t, conf, &quic.Config{KeepAlivePeriod: 20 * time.Millisecond})
}

func (b *bench) dial(t testing.TB, conf *tls.Config, qc *quic.Config) (*quic.Conn, error) {
	t.Helper()
	socket := must[*net.UDPConn](t)(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	dialer := &quic.Transport{Conn: socket}
	t.Cleanup(func() { dialer.Close(); socket.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	conn, err := dialer.Dial(ctx, b.udp, conf, qc)
	if err == nil {
		t.Cleanup(func() { conn.CloseWithError(0, "") })
	}
	return conn, err
}

func (b *bench) h3TLS(certs ...tls.Certificate) *tls.Config {
	conf := b.clientTLS(certs...)
	conf.NextProtos = []string{"h3"}
	return conf
}

func url(path string) string { return "https://" + testHost + path }

func get(t testing.TB, c *http.Client, path string) (*http.Response, string) {
	t.Helper()
	rsp := must[*http.Response](t)(c.Get(url(path)))
	defer rsp.Body.Close()
	return rsp, string(must[[]byte](t)(io.ReadAll(rsp.Body)))
}

// raw is an HTTP/1.1 connection without a client's good manners.
func (b *bench) raw(t testing.TB) net.Conn {
	t.Helper()
	conf := b.clientTLS()
	conf.NextProtos = []string{"http/1.1"}
	conn := must[*tls.Conn](t)(tls.Dial("tcp", b.tcp, conf))
	t.Cleanup(func() { conn.Close() })
	check(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	return conn
}

func (b *bench) rawAnswer(t testing.TB, request string) (*http.Response, string) {
	t.Helper()
	conn := b.raw(t)
	must[int](t)(io.WriteString(conn, request))
	rsp := must[*http.Response](t)(http.ReadResponse(bufio.NewReader(conn), nil))
	defer rsp.Body.Close()
	return rsp, string(must[[]byte](t)(io.ReadAll(rsp.Body)))
}

func (b *bench) refused(r reason) float64 {
	return testutil.ToFloat64(b.metrics.refused.WithLabelValues(string(r)))
}

func (b *bench) handshakes(proto, result string) float64 {
	return testutil.ToFloat64(b.metrics.handshakes.WithLabelValues(proto, result))
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(5 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("not within 5 s: %s", what)
		}
	}
}

func each(t *testing.T, protos []string, f func(t *testing.T, proto string)) {
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) { f(t, proto) })
	}
}

func hello(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }

// headers lists what the handler saw, a line a field.
func headers(w http.ResponseWriter, r *http.Request) {
	for name, values := range r.Header {
		fmt.Fprintf(w, "%s: %s\n", strings.ToLower(name), strings.Join(values, ","))
	}
}
