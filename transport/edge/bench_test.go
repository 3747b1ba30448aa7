//go:build unix

package edge

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/tidegate/tidegate/transport"
)

func answer(w http.ResponseWriter, r *http.Request) {
	useStack()
	_, _ = io.Copy(io.Discard, r.Body)
	w.WriteHeader(http.StatusAccepted)
}

// useStack takes as much stack as routing and forwarding do. Without it the
// comparison shows whether one more frame makes Go double a small stack.
//
//go:noinline
func useStack() byte {
	var frame [8 << 10]byte
	for i := 0; i < len(frame); i += 512 {
		frame[i] = byte(i)
	}
	return frame[512]
}

// BenchmarkEdgeHTTP3 compares a 200-byte POST through the edge with the same
// through a bare http3.Server. Client and server share the process, so the
// difference in cpu-µs/op is the edge's own cost.
func BenchmarkEdgeHTTP3(b *testing.B) {
	b.Run("edge", func(b *testing.B) {
		e := newBench(b, answer, nil)
		post(b, e.client3(b))
	})
	b.Run("bare", func(b *testing.B) { post(b, bareClient(b)) })
}

func bareClient(b *testing.B) *http.Client {
	a := newAuthority(b)
	cert := must[tls.Certificate](b)(must[transport.Issued](b)(a.IssueEdge([]string{testHost}, 0)).TLS())
	conn := must[*net.UDPConn](b)(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	s := &http3.Server{Handler: http.HandlerFunc(answer), TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}, QUICConfig: &quic.Config{}}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(conn) }()
	b.Cleanup(func() { s.Close(); <-done; conn.Close() })
	return (&bench{authority: a, udp: conn.LocalAddr().(*net.UDPAddr)}).client3(b)
}

func post(b *testing.B, c *http.Client) {
	body := bytes.Repeat([]byte("x"), 200)
	b.SetParallelism(8)
	b.ReportAllocs()
	before := cpuTime(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			rsp, err := c.Post(url("/"), "text/plain", bytes.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			rsp.Body.Close()
		}
	})
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
}
