package agent_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"
	"github.com/quic-go/quic-go/http3"

	"github.com/tidegate/tidegate/agent/config"
	"github.com/tidegate/tidegate/agent/dev"
)

// A service that does not want early data says so, and the device, which asked
// early, asks again.
func TestAServiceMayRefuseEarlyData(t *testing.T) {
	service := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Early-Data") == "1" {
			w.WriteHeader(http.StatusTooEarly)
		}
	})
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1}, service)
	cfg := spare(t, m)
	cfg.Listeners.Edge.EarlyData = true
	_, device := stranger(t, m, cfg)
	device.h3.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	eventually(t, "the service is known", func() bool {
		resp, _ := device.send("GET", "/svc", nil)
		return resp.StatusCode == http.StatusOK
	})
	for range 30 { // the handshake may be the first to be dealt with
		if resp, _ := device.send("GET", "/svc", nil); resp.StatusCode != http.StatusOK {
			t.Fatalf("status %d", resp.StatusCode)
		}
		device.h3.CloseIdleConnections()
		resp, _ := device.send(http3.MethodGet0RTT, "/svc", nil)
		if resp.StatusCode != http.StatusTooEarly {
			continue
		}
		if resp, _ := device.send("GET", "/svc", nil); resp.StatusCode != http.StatusOK {
			t.Fatalf("again, with the handshake complete: status %d", resp.StatusCode)
		}
		return
	}
	t.Error("no request came as early data")
}

func TestAServiceLearnsTheAddressBehindABalancer(t *testing.T) {
	service := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Header.Get("Forwarded")) })
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1}, service)
	cfg := spare(t, m)
	cfg.Listeners.Edge.ProxyFrom = []string{"127.0.0.1"}
	cfg.Listeners.Edge.QUICLB = &config.QUICLB{ServerID: "0a01", NonceLength: 8}
	_, device := stranger(t, m, cfg)
	balanced := &http.Transport{
		TLSClientConfig: device.h3.TLSClientConfig,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err == nil {
				from := &net.TCPAddr{IP: net.IPv4(198, 51, 100, 7), Port: 4711}
				_, err = proxyproto.HeaderProxyFromAddrs(2, from, conn.RemoteAddr()).WriteTo(conn)
			}
			return conn, err
		},
	}
	defer balanced.CloseIdleConnections()
	eventually(t, "the service is known", func() bool {
		resp, _ := device.send("GET", "/svc", nil)
		return resp.StatusCode == http.StatusOK
	})
	resp, err := balanced.RoundTrip(device.request("GET", "/svc", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err != nil || !strings.HasPrefix(string(got), `for="198.51.100.7:4711";`) {
		t.Errorf("Forwarded: %s, %v", got, err)
	}
	// QUIC has no header before it.
	if _, got := device.send("GET", "/svc", nil); !strings.HasPrefix(got, `for="127.0.0.1:`) {
		t.Errorf("Forwarded: %s", got)
	}
}
