package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/quic-go/quic-go/http3"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

func TestAllThreeProtocolsAreServed(t *testing.T) {
	b := newBench(t, hello, nil)
	for proto, want := range map[string]string{"h3": "HTTP/3.0", "h2": "HTTP/2.0", "h1": "HTTP/1.1"} {
		if _, body := get(t, b.client(t, proto), "/"); body != want {
			t.Errorf("%s: the handler saw %q, want %q", proto, body, want)
		}
	}
	if got := b.handshakes(protoQUIC, handshakeDone); got != 1 {
		t.Errorf("%v QUIC handshakes counted, want 1", got)
	}
	if got := b.handshakes(protoTCP, handshakeDone); got != 2 {
		t.Errorf("%v TCP handshakes counted, want 2", got)
	}
}

func TestAltSvcIsAnnouncedOnTCPAlone(t *testing.T) {
	b := newBench(t, hello, nil)
	want := fmt.Sprintf(`h3=":%d"; ma=86400`, b.udp.Port)
	each(t, protocols, func(t *testing.T, proto string) {
		rsp, _ := get(t, b.client(t, proto), "/")
		if got := rsp.Header.Get("Alt-Svc"); (got == want) != (proto != "h3") {
			t.Fatalf("Alt-Svc is %q", got)
		}
	})
}

func TestUnknownALPNIsRefused(t *testing.T) {
	b := newBench(t, hello, nil)
	conf := b.clientTLS()
	conf.NextProtos = []string{"mystery"}
	if _, err := b.dialQUIC(t, conf); err == nil || !strings.Contains(err.Error(), "no application protocol") {
		t.Errorf("QUIC: got %v", err)
	}
	if conn, err := tls.Dial("tcp", b.tcp, conf); err == nil {
		conn.Close()
		t.Error("TCP: connected")
	}
	eventually(t, "failed handshakes are counted", func() bool {
		return b.handshakes(protoQUIC, handshakeFailed) == 1 && b.handshakes(protoTCP, handshakeFailed) == 1
	})
	if got := must[int](t)(testutil.GatherAndCount(b.registry, "tidegate_edge_connections")); got != 2 {
		t.Errorf("%d series of connections, want quic and tcp", got)
	}
}

func TestQUICNegotiatesExactlyH3(t *testing.T) {
	b := newBench(t, hello, nil)
	conf := b.clientTLS()
	conf.NextProtos = []string{"mystery", "h3"}
	conn, err := b.dialQUIC(t, conf)
	check(t, err)
	if got := conn.ConnectionState().TLS.NegotiatedProtocol; got != "h3" {
		t.Fatalf("negotiated %q", got)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	b := newBench(t, hello, nil)
	conf := b.clientTLS()
	conf.MinVersion, conf.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if conn, err := tls.Dial("tcp", b.tcp, conf); err == nil {
		conn.Close()
		t.Fatal("TLS 1.1 was accepted")
	}
}

func TestCertificateIsReloaded(t *testing.T) {
	var current atomic.Pointer[tls.Certificate]
	b := newBench(t, hello, func(c *Config) {
		current.Store(c.Certificate())
		c.Certificate = current.Load
	})
	fresh := must[tls.Certificate](t)(must[transport.Issued](t)(b.authority.IssueEdge([]string{testHost}, 0)).TLS())
	current.Store(&fresh)
	conn, err := b.dialQUIC(t, b.h3TLS())
	check(t, err)
	if got := conn.ConnectionState().TLS.PeerCertificates[0]; !got.Equal(fresh.Leaf) {
		t.Fatal("the old certificate was served")
	}
}

func TestForgedHeadersAreStripped(t *testing.T) {
	b := newBench(t, headers, nil)
	each(t, protocols, func(t *testing.T, proto string) {
		req := must[*http.Request](t)(http.NewRequest("GET", url("/"), nil))
		for _, name := range []string{"Tidegate-Class", "Ce-Id", "Forwarded", "X-Forwarded-For", "Early-Data", "tidegate_device"} {
			req.Header[name] = []string{"forged"}
		}
		req.Header.Set("X-Honest", "kept")
		rsp := must[*http.Response](t)(b.client(t, proto).Do(req))
		defer rsp.Body.Close()
		got := string(must[[]byte](t)(io.ReadAll(rsp.Body)))
		if strings.Contains(got, "forged") || !strings.Contains(got, "x-honest: kept") {
			t.Fatalf("the handler saw\n%s", got)
		}
	})
}

func TestForgedTrailersAreStripped(t *testing.T) {
	seen := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.Trailer)
	}
	token := func(tls.ConnectionState, *http.Request) (policy.Device, error) { return policy.Device{ID: "d"}, nil }
	b := newBench(t, seen, func(c *Config) { c.Identify = token }) // so that the handler's request is another
	each(t, protocols, func(t *testing.T, proto string) {
		req := must[*http.Request](t)(http.NewRequest("POST", url("/"), io.NopCloser(strings.NewReader("body"))))
		req.Trailer = http.Header{"X-Sum": {"42"}, "Tidegate-Class": {"forged"}}
		rsp := must[*http.Response](t)(b.client(t, proto).Do(req))
		defer rsp.Body.Close()
		got := string(must[[]byte](t)(io.ReadAll(rsp.Body)))
		if got != "map[X-Sum:[42]]" {
			t.Fatalf("the handler saw %s", got)
		}
	})
}

func TestTrailersReachTheClient(t *testing.T) {
	b := newBench(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprint(w, "body")
		w.Header().Set("X-Sum", "42")
		w.Header().Set(http.TrailerPrefix+"X-Late", "43")
	}, nil)
	each(t, protocols, func(t *testing.T, proto string) {
		rsp, _ := get(t, b.client(t, proto), "/")
		if rsp.Trailer.Get("X-Sum") != "42" || rsp.Trailer.Get("X-Late") != "43" {
			t.Fatalf("trailers %v", rsp.Trailer)
		}
	})
}

func TestBodiesStreamBothWays(t *testing.T) {
	b := newBench(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/1.1 alone needs it
		buf := make([]byte, 16)
		for {
			n, err := r.Body.Read(buf)
			_, _ = w.Write(buf[:n])
			w.(http.Flusher).Flush()
			if err != nil {
				return
			}
		}
	}, nil)
	each(t, protocols, func(t *testing.T, proto string) {
		up, feed := io.Pipe()
		defer feed.Close()
		req := must[*http.Request](t)(http.NewRequest("POST", url("/"), up))
		go func() { _, _ = io.WriteString(feed, "ping0") }()
		rsp := must[*http.Response](t)(b.client(t, proto).Do(req))
		defer rsp.Body.Close()
		for i := range 3 {
			want := fmt.Sprintf("ping%d", i)
			if i > 0 {
				must[int](t)(io.WriteString(feed, want))
			}
			got := make([]byte, len(want))
			must[int](t)(io.ReadFull(rsp.Body, got))
			if string(got) != want {
				t.Fatalf("got %q, want %q", got, want)
			}
		}
	})
}

func TestCancellationReachesTheHandler(t *testing.T) {
	entered, left := make(chan struct{}), make(chan struct{})
	b := newBench(t, func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-r.Context().Done()
		left <- struct{}{}
		panic(http.ErrAbortHandler) // net/http would answer, and the client might see that first
	}, nil)
	each(t, protocols, func(t *testing.T, proto string) {
		ctx, cancel := context.WithCancel(t.Context())
		req := must[*http.Request](t)(http.NewRequestWithContext(ctx, "GET", url("/"), nil))
		done := make(chan error, 1)
		client := b.client(t, proto)
		go func() {
			_, err := client.Do(req)
			done <- err
		}()
		<-entered
		cancel()
		select {
		case <-left:
		case <-time.After(5 * time.Second):
			t.Fatal("the handler never learned")
		}
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatalf("client got %v", err)
		}
	})
}

func TestBadConfigurationIsRefusedAndSocketsStayOpen(t *testing.T) {
	cert := tls.Certificate{}
	good := func() Config {
		return Config{
			Handler: http.NotFoundHandler(), Certificate: func() *tls.Certificate { return &cert },
			Conn: must[*net.UDPConn](t)(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})),
		}
	}
	for name, spoil := range map[string]func(*Config){
		"nothing to listen on": func(c *Config) { c.Conn.Close(); c.Conn = nil },
		"no handler":           func(c *Config) { c.Handler = nil },
		"no certificate":       func(c *Config) { c.Certificate = nil },
		"certificate not yet":  func(c *Config) { c.Certificate = func() *tls.Certificate { return nil } },
		"no authority":         func(c *Config) { c.ClientAuth = Required },
		"unknown demand":       func(c *Config) { c.ClientAuth = 7 },
		"negative limit":       func(c *Config) { c.Limits.BodyIdle = -1 },
	} {
		cfg := good()
		spoil(&cfg)
		if _, err := Listen(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: got %v, want ErrConfig", name, err)
		}
		if cfg.Conn != nil {
			check(t, cfg.Conn.Close())
		}
	}
	taken := good()
	defer taken.Conn.Close()
	taken.Metrics = prometheus.NewRegistry()
	_, err := newMetrics(taken.Metrics)
	check(t, err)
	if _, err := Listen(taken); err == nil {
		t.Error("registered the same metrics twice")
	}
}

func TestCloseWithoutStart(t *testing.T) {
	cert := tls.Certificate{}
	s := must[*Server](t)(Listen(Config{
		Handler: http.NotFoundHandler(), Certificate: func() *tls.Certificate { return &cert },
		Conn: must[*net.UDPConn](t)(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})),
		TCP:  must[net.Listener](t)(net.Listen("tcp4", "127.0.0.1:0")),
	}))
	check(t, s.Close())
	s.Start()
	check(t, s.Shutdown(t.Context()))
}

func TestHTTP3MethodsThatTunnelAreRefused(t *testing.T) {
	b := newBench(t, hello, nil)
	req := must[*http.Request](t)(http.NewRequest(http.MethodConnect, url("/"), nil))
	rsp := must[*http.Response](t)(b.client(t, "h3").Transport.(*http3.Transport).RoundTrip(req))
	defer rsp.Body.Close()
	if rsp.StatusCode != http.StatusBadRequest || b.refused(reasonMethod) != 1 {
		t.Fatalf("status %d", rsp.StatusCode)
	}
}
