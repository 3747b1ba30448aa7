package load

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
	"go.uber.org/goleak"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// edgeOf serves h over HTTP/3 until the test ends; the config trusts it and
// sends one kind of message.
func edgeOf(t *testing.T, h http.HandlerFunc) Config {
	t.Helper()
	ca, err := transport.NewAuthority("load test", "load.test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := ca.IssueEdge([]string{"127.0.0.1"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(issued.CertPEM, issued.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	server := &http3.Server{Handler: h, TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{pair}})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(udp)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		_ = udp.Close()
		<-served
	})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.CertPEM())
	return Config{
		Edges: []Edge{{Region: "eu-1", Agent: "a1", Addr: udp.LocalAddr().String()}},
		Kinds: []Kind{{Name: "alarm", Class: policy.Critical, Method: "POST", Path: "/d/{device}", Body: 10, Weight: 1}},
		TLS:   &tls.Config{RootCAs: roots}, Devices: 4, Rate: 100, Duration: time.Second,
	}
}
