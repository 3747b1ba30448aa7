//go:build unix

package edge

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/tidegate/tidegate/transport"
)

// BenchmarkHandshake compares full handshakes with mutual TLS at the edge with
// those of a bare quic-go server under the same certificates. Rounds of both take
// turns; the metrics are medians, and "share" is the edge's rate by the bare one's.
// Client and server share the process and its cores, so the client's CPU time is
// in both, and the difference is the edge's own.
func BenchmarkHandshake(b *testing.B) {
	e := newBench(b, hello, func(c *Config) {
		c.ClientAuth = Required
		c.Limits.HandshakeRate, c.Limits.RetryAbove, c.Limits.ConnectionsPerSource = 1e6, 1e6, 1e6
	})
	bare := bareHandshakes(b, e.authority)
	client := e.h3TLS(e.device(b, "meter-1"))
	servers := [2]net.Addr{e.udp, bare}
	var rates, spent [2][]float64
	for b.Loop() {
		for i, to := range servers {
			const n = 200
			before, began := cpuTime(b), time.Now()
			shakeHands(b, to, client, n)
			rates[i] = append(rates[i], n/time.Since(began).Seconds())
			spent[i] = append(spent[i], float64((cpuTime(b)-before).Microseconds())/n)
		}
	}
	b.ReportMetric(median(rates[0]), "edge/s")
	b.ReportMetric(median(rates[1]), "bare/s")
	b.ReportMetric(median(rates[0])/median(rates[1]), "share")
	b.ReportMetric(median(spent[0]), "edge-cpu-µs")
	b.ReportMetric(median(spent[1]), "bare-cpu-µs")
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

func bareHandshakes(b *testing.B, a *transport.Authority) net.Addr {
	cert := must[tls.Certificate](b)(must[transport.Issued](b)(a.IssueEdge([]string{testHost}, 0)).TLS())
	conn := must[*net.UDPConn](b)(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	l := must[*quic.Listener](b)(quic.Listen(conn, &tls.Config{
		Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.Pool(), NextProtos: []string{"h3"},
	}, &quic.Config{}))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := l.Accept(context.Background()); err != nil {
				return
			}
		}
	}()
	b.Cleanup(func() { l.Close(); <-done; conn.Close() })
	return conn.LocalAddr()
}

func shakeHands(b *testing.B, to net.Addr, conf *tls.Config, n int) {
	socket := must[*net.UDPConn](b)(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	dialer := &quic.Transport{Conn: socket}
	defer socket.Close()
	defer dialer.Close()
	var left atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				conn, err := dialer.Dial(context.Background(), to, conf, &quic.Config{})
				if err != nil {
					b.Error(err)
					return
				}
				conn.CloseWithError(0, "")
			}
		})
	}
	all.Wait()
}
