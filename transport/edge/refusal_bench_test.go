//go:build unix

package edge

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/tidegate/tidegate/transport"
)

var refusal = []byte(`{"title":"Service Unavailable","status":503,"class":"bulk","reason":"overload","retry_after_ms":1500}`)

func refuseAtOnce(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h["Content-Type"] = []string{"application/problem+json"}
	h["Retry-After"] = []string{"2"}
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write(refusal)
}

// BenchmarkRefusal compares the refusal of a 200-byte POST before its body is
// read through the edge with the same answer of a bare http3.Server. Rounds of
// both take turns; the metrics are medians of the process's CPU time, so the
// client's is in both.
func BenchmarkRefusal(b *testing.B) {
	e := newBench(b, refuseAtOnce, func(c *Config) { c.ClientAuth = Required })
	clients := [2]*http.Client{e.client3(b, e.device(b, "meter-1")), bareRefusal(b, e.authority)}
	var spent [2][]float64
	for b.Loop() {
		for i, c := range clients {
			spent[i] = append(spent[i], refusals(b, c, 2000))
		}
	}
	for i := range spent {
		slices.Sort(spent[i])
	}
	edge, bare := spent[0][len(spent[0])/2], spent[1][len(spent[1])/2]
	b.ReportMetric(edge, "edge-µs")
	b.ReportMetric(bare, "bare-µs")
	b.ReportMetric(edge-bare, "more-µs")
}

func bareRefusal(b testing.TB, a *transport.Authority) *http.Client {
	cert := must[tls.Certificate](b)(must[transport.Issued](b)(a.IssueEdge([]string{testHost}, 0)).TLS())
	conn := must[*net.UDPConn](b)(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	s := &http3.Server{
		Handler:    http.HandlerFunc(refuseAtOnce),
		TLSConfig:  &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.Pool()},
		QUICConfig: &quic.Config{},
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(conn) }()
	b.Cleanup(func() { s.Close(); <-done; conn.Close() })
	to := &bench{authority: a, udp: conn.LocalAddr().(*net.UDPAddr)}
	return to.client3(b, to.device(b, "meter-1"))
}

// refusals returns the CPU time a request took, in microseconds.
func refusals(b testing.TB, c *http.Client, n int) float64 {
	body := bytes.Repeat([]byte("x"), 200)
	var left atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	before := cpuTime(b)
	for range 16 {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				rsp, err := c.Post(url("/"), "text/plain", bytes.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				rsp.Body.Close()
			}
		})
	}
	all.Wait()
	return float64((cpuTime(b)-before)/time.Nanosecond) / float64(n) / 1000
}
