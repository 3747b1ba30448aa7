package edge

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

func limited(change func(*Limits)) func(*Config) { return func(c *Config) { change(&c.Limits) } }

func wantRefusedQUIC(t *testing.T, err error) {
	t.Helper()
	var refused *quic.TransportError
	if !errors.As(err, &refused) || refused.ErrorCode != quic.ConnectionRefused {
		t.Fatalf("got %v, want CONNECTION_REFUSED", err)
	}
}

func (b *bench) wantRefusedTCP(t *testing.T) {
	t.Helper()
	if conn, err := tls.Dial("tcp", b.tcp, b.clientTLS()); err == nil {
		conn.Close()
		t.Fatal("a TCP connection was let in")
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Limits)
		reason reason
	}{
		"agent":  {func(l *Limits) { l.ConnectionsPerAgent = 2 }, reasonAgentFull},
		"source": {func(l *Limits) { l.ConnectionsPerSource = 2 }, reasonSourceFull},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, hello, limited(c.change))
			first, err := b.dialQUIC(t, b.h3TLS())
			check(t, err)
			b.raw(t)
			_, err = b.dialQUIC(t, b.h3TLS())
			wantRefusedQUIC(t, err)
			b.wantRefusedTCP(t)
			if got := b.refused(c.reason); got < 2 { // each packet of a large ClientHello counts
				t.Fatalf("%v refusals counted, want 2 or more", got)
			}
			check(t, first.CloseWithError(0, ""))
			eventually(t, "a closed connection gives its place back", func() bool { return b.Connections() == 1 })
			_, err = b.dialQUIC(t, b.h3TLS())
			check(t, err)
		})
	}
}

func TestHandshakeRateIsBoundedBeforeCryptography(t *testing.T) {
	var handshakes atomic.Int64
	b := newBench(t, hello, func(c *Config) {
		c.Limits.HandshakeRate = 0.01 // one, then none for the length of the test
		certificate := c.Certificate()
		c.Certificate = func() *tls.Certificate { handshakes.Add(1); return certificate }
	})
	_, err := b.dialQUIC(t, b.h3TLS())
	check(t, err)
	before := handshakes.Load()
	_, err = b.dialQUIC(t, b.h3TLS())
	wantRefusedQUIC(t, err)
	b.wantRefusedTCP(t)
	if handshakes.Load() != before || b.refused(reasonHandshakeRate) < 2 {
		t.Fatalf("%d handshakes were begun, %v refusals counted", handshakes.Load()-before, b.refused(reasonHandshakeRate))
	}
}

func TestAddressesMustBeProvenUnderLoad(t *testing.T) {
	b := newBench(t, hello, limited(func(l *Limits) { l.RetryAbove = 0.01 }))
	for range 3 { // all get in, two of them by Retry
		_, err := b.dialQUIC(t, b.h3TLS())
		check(t, err)
	}
	if got := b.handshakes(protoQUIC, handshakeRetry); got < 2 {
		t.Fatalf("%v retries, want 2 or more", got)
	}
	eventually(t, "three handshakes are counted", func() bool { return b.handshakes(protoQUIC, handshakeDone) == 3 })
}

func TestSourcesAreCountedBySubscriber(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1:1": "192.0.2.1", "[::ffff:192.0.2.1]:1": "192.0.2.1", "[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1:2::",
	} {
		udp := must[*net.UDPAddr](t)(net.ResolveUDPAddr("udp", addr))
		if got := sourceOf(udp).String(); got != want {
			t.Errorf("%s counts as %s, want %s", addr, got, want)
		}
	}
}

func TestStreamsOfAConnectionAreBounded(t *testing.T) {
	var now, most atomic.Int64
	release := make(chan struct{})
	b := newBench(t, func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		<-release
	}, limited(func(l *Limits) { l.StreamsPerConnection = 3 }))
	client := b.client(t, "h3")
	done := make(chan error)
	for range 8 {
		go func() {
			rsp, err := client.Get(url("/"))
			if err == nil {
				rsp.Body.Close()
			}
			done <- err
		}()
	}
	eventually(t, "three requests are served", func() bool { return now.Load() == 3 })
	close(release)
	for range 8 {
		check(t, <-done)
	}
	if got := most.Load(); got != 3 {
		t.Fatalf("%d requests at once, want 3", got)
	}
}

func TestSlowHeadersEndTheConnection(t *testing.T) {
	b := newBench(t, hello, limited(func(l *Limits) { l.HeaderTimeout = 100 * time.Millisecond }))
	for name, start := range map[string]func() net.Conn{
		"TLS handshake": func() net.Conn { return must[net.Conn](t)(net.Dial("tcp", b.tcp)) },
		"header": func() net.Conn {
			conn := b.raw(t)
			must[int](t)(io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\nX-Slow: "))
			return conn
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn := start()
			defer conn.Close()
			check(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
			_, err := io.Copy(io.Discard, conn)
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				t.Fatal("the edge kept waiting")
			}
		})
	}
}

// Every byte comes in time, the header does not.
func TestDrippingHeaderEndsTheConnection(t *testing.T) {
	b := newBench(t, hello, limited(func(l *Limits) { l.HeaderTimeout = 100 * time.Millisecond }))
	conn := b.raw(t)
	must[int](t)(io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\nX-Slow: "))
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 200 {
		if _, err := io.WriteString(conn, "x"); err != nil {
			return
		}
		<-tick.C
	}
	t.Fatal("the edge kept waiting for 4 s")
}

func TestStalledBodyFailsTheReadOnly(t *testing.T) {
	b := newBench(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); errors.Is(err, ErrStalled) {
			w.WriteHeader(http.StatusRequestTimeout)
		}
	}, limited(func(l *Limits) { l.BodyIdle = 100 * time.Millisecond }))
	each(t, protocols, func(t *testing.T, proto string) {
		before := b.refused(reasonStalled)
		up, feed := io.Pipe()
		defer feed.Close()
		go func() { _, _ = io.WriteString(feed, "some") }()
		rsp := must[*http.Response](t)(b.client(t, proto).Post(url("/"), "text/plain", up))
		defer rsp.Body.Close()
		if rsp.StatusCode != http.StatusRequestTimeout || b.refused(reasonStalled) != before+1 {
			t.Fatalf("status %d, %v counted", rsp.StatusCode, b.refused(reasonStalled)-before)
		}
	})
}

func TestSlowButMovingBodyIsRead(t *testing.T) {
	b := newBench(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v", body, err)
	}, limited(func(l *Limits) { l.BodyIdle = 200 * time.Millisecond }))
	each(t, protocols, func(t *testing.T, proto string) {
		up, feed := io.Pipe()
		go func() {
			tick := time.NewTicker(80 * time.Millisecond)
			defer tick.Stop()
			for range 6 {
				<-tick.C
				_, _ = io.WriteString(feed, "x")
			}
			feed.Close()
		}()
		rsp := must[*http.Response](t)(b.client(t, proto).Post(url("/"), "text/plain", up))
		defer rsp.Body.Close()
		if got := string(must[[]byte](t)(io.ReadAll(rsp.Body))); got != "xxxxxx <nil>" {
			t.Fatalf("got %q", got)
		}
	})
}

func TestHandlerMayDawdleBetweenReads(t *testing.T) {
	b := newBench(t, func(w http.ResponseWriter, r *http.Request) {
		first := make([]byte, 2)
		_, _ = io.ReadFull(r.Body, first)
		<-time.After(250 * time.Millisecond) // longer than BodyIdle, but the device is not to blame
		rest, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s%s %v", first, rest, err)
	}, limited(func(l *Limits) { l.BodyIdle = 100 * time.Millisecond }))
	each(t, protocols, func(t *testing.T, proto string) {
		rsp := must[*http.Response](t)(b.client(t, proto).Post(url("/"), "text/plain", strings.NewReader("body")))
		defer rsp.Body.Close()
		if got := string(must[[]byte](t)(io.ReadAll(rsp.Body))); got != "body <nil>" {
			t.Fatalf("got %q", got)
		}
	})
}

func TestDeviceThatTakesNothingEndsTheResponse(t *testing.T) {
	ended := make(chan error, 1)
	b := newBench(t, func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 64<<10)
		for {
			if _, err := w.Write(chunk); err != nil {
				ended <- err
				return
			}
		}
	}, limited(func(l *Limits) { l.BodyIdle = 150 * time.Millisecond }))
	each(t, protocols, func(t *testing.T, proto string) {
		rsp := must[*http.Response](t)(b.client(t, proto).Get(url("/"))) // and its body is not read
		defer rsp.Body.Close()
		select {
		case <-ended:
		case <-time.After(8 * time.Second):
			t.Fatal("the response is stuck")
		}
	})
}

func TestBodyLeftUnsentDoesNotHoldAConnection(t *testing.T) {
	b := newBench(t, hello, limited(func(l *Limits) { l.BodyIdle = 100 * time.Millisecond }))
	for name, request := range map[string]string{
		"refused": "TRACE / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n",
		"served":  "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n",
	} {
		conn := b.raw(t)
		must[int](t)(io.WriteString(conn, request))
		check(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Errorf("%s: %v, want the connection closed", name, err)
		}
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	b := newBench(t, hello, limited(func(l *Limits) { l.IdleTimeout = 150 * time.Millisecond }))
	tcp := b.raw(t)
	must[int](t)(io.WriteString(tcp, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"))
	quiet, err := b.dialQUIC(t, b.h3TLS()) // it sends keep-alives, but never a request
	check(t, err)
	half := must[*quic.Stream](t)(quiet.OpenStream())
	must[int](t)(half.Write([]byte{1})) // the first byte of a HEADERS frame
	if _, err := io.Copy(io.Discard, tcp); err != nil {
		t.Errorf("TCP: %v, want the connection closed", err)
	}
	select {
	case <-quiet.Context().Done():
	case <-time.After(5 * time.Second):
		t.Fatal("the quiet connection is still there")
	}
	if got := b.refused(reasonQuiet); got != 1 {
		t.Fatalf("%v quiet connections counted, want 1", got)
	}
}

func TestConnectionOfAKnownDeviceMayBeQuiet(t *testing.T) {
	b := newBench(t, hello, func(c *Config) { c.ClientAuth = Optional; c.Limits.IdleTimeout = 150 * time.Millisecond })
	anonymous, err := b.dialQUIC(t, b.h3TLS())
	check(t, err)
	known := b.keepAlive3(t, b.device(t, "meter-1"))
	if rsp, _ := get(t, known, "/"); rsp.StatusCode != http.StatusOK {
		t.Fatal(rsp.Status)
	}
	<-anonymous.Context().Done()
	opened := b.handshakes(protoQUIC, handshakeDone)
	get(t, known, "/")
	if b.handshakes(protoQUIC, handshakeDone) != opened {
		t.Fatal("the device had to come back")
	}
}

func TestGateCountsExactly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := must[*metrics](t)(newMetrics(nil))
		l := DefaultLimits()
		l.ConnectionsPerSource, l.HandshakeRate = 5, 200 // a burst of 50
		g := newGate(l, m)
		var taken []*place
		enter := func(host byte) bool {
			p := &place{proto: protoTCP}
			err := g.enter(p, sourceAt(host))
			if err == nil {
				taken = append(taken, p)
			}
			return err == nil
		}
		greedy := 0
		for range 1000 {
			if enter(1) {
				greedy++
			}
		}
		if greedy != 5 {
			t.Fatalf("one source got %d connections, want 5", greedy)
		}
		others := 0
		for host := byte(2); host < 202; host++ {
			if enter(host) {
				others++
			}
		}
		if others != 45 { // the greedy one's refusals cost no tokens
			t.Fatalf("others got %d connections, want 45", others)
		}
		time.Sleep(time.Second) // of synctest's clock
		if !enter(200) {
			t.Fatal("the bucket does not fill again")
		}
		for _, p := range taken {
			g.move(p, sourceAt(3))
			g.leave(p)
			g.leave(p)
			g.move(p, sourceAt(4)) // a connection that has ended is nowhere
		}
		if g.open() != 0 || len(g.bySource) != 0 {
			t.Fatalf("%d connections, %d sources left over", g.open(), len(g.bySource))
		}
	})
}

func sourceAt(host byte) net.Addr { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, host)} }

func (b *bench) keepAlive3(t *testing.T, cert tls.Certificate) *http.Client {
	client := b.client3(t, cert)
	client.Transport.(*http3.Transport).QUICConfig = &quic.Config{KeepAlivePeriod: 20 * time.Millisecond}
	return client
}
