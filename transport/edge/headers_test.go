package edge

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// halfHeader begins a HEADERS frame of 100 bytes and sends two of them.
var halfHeader = []byte{0x01, 0x40, 100, 0x00, 0x00}

const shortHeaderTimeout = 200 * time.Millisecond

func newHeaderBench(t testing.TB, handler http.HandlerFunc) *bench {
	return newBench(t, handler, func(c *Config) {
		c.ClientAuth = Required
		c.Limits.HeaderTimeout, c.Limits.IdleTimeout = shortHeaderTimeout, time.Hour
	})
}

// known dials as a device that the edge has seen a request of.
func (b *bench) known(t testing.TB, id string) (*quic.Conn, *http3.ClientConn) {
	t.Helper()
	conn, err := b.dialQUIC(t, b.h3TLS(b.device(t, id)))
	check(t, err)
	client := (&http3.Transport{}).NewClientConn(conn)
	ask(t, client)
	return conn, client
}

func ask(t testing.TB, client *http3.ClientConn) {
	t.Helper()
	rsp := must[*http.Response](t)(client.RoundTrip(must[*http.Request](t)(http.NewRequest("GET", url("/"), nil))))
	if readAll(t, rsp); rsp.StatusCode != http.StatusOK {
		t.Fatalf("status %d", rsp.StatusCode)
	}
}

func openHalf(t testing.TB, conn *quic.Conn, n int) []*quic.Stream {
	t.Helper()
	var list []*quic.Stream
	for range n {
		str := must[*quic.Stream](t)(conn.OpenStream())
		must[int](t)(str.Write(halfHeader))
		list = append(list, str)
	}
	return list
}

// ends waits for the end of a connection and says how long that took.
func ends(t testing.TB, conn *quic.Conn) time.Duration {
	t.Helper()
	begun := time.Now()
	select {
	case <-conn.Context().Done():
	case <-time.After(5 * time.Second):
		t.Fatal("the connection was still open after 5 s")
	}
	return time.Since(begun)
}

func TestHalfSentHeadersEndAnHTTP3Connection(t *testing.T) {
	for _, n := range []int{1, 50} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			b := newHeaderBench(t, hello)
			_, other := b.known(t, "meter-2")
			conn, _ := b.known(t, "meter-1")
			streams := openHalf(t, conn, n)
			if took := ends(t, conn); took < shortHeaderTimeout/2 {
				t.Fatalf("closed after %v, before its time", took)
			}
			for _, str := range streams {
				if _, err := str.Read(make([]byte, 1)); err == nil {
					t.Fatal("a stream goes on")
				}
			}
			if got := b.refused(reasonHeader); got != 1 {
				t.Fatalf("%v refusals counted, want 1", got)
			}
			ask(t, other)
		})
	}
}

// A device that drips its header keeps its QUIC connection busy.
func TestDrippingHeaderEndsAnHTTP3Connection(t *testing.T) {
	b := newHeaderBench(t, hello)
	conn, _ := b.known(t, "meter-1")
	str := openHalf(t, conn, 1)[0]
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 45 { // the frame is 100 bytes long
		if _, err := str.Write([]byte{0}); err != nil {
			return
		}
		<-tick.C
	}
	t.Fatal("the edge kept waiting")
}

// Opening a stream opens all below it, without a byte for them.
func TestStreamsOpenedByAHigherOneAreTimedToo(t *testing.T) {
	b := newHeaderBench(t, hello)
	conn, client := b.known(t, "meter-1")
	for range 9 {
		must[*quic.Stream](t)(conn.OpenStream()) // sends nothing
	}
	ask(t, client)
	ends(t, conn)
	if got := b.refused(reasonHeader); got != 1 {
		t.Fatalf("%v refusals counted, want 1", got)
	}
}

// The peer's STOP_SENDING makes QUIC end the answer, not the waiting.
func TestHeaderOfAnUnwantedAnswerIsTimedToo(t *testing.T) {
	b := newHeaderBench(t, hello)
	conn, _ := b.known(t, "meter-1")
	openHalf(t, conn, 1)[0].CancelRead(quic.StreamErrorCode(http3.ErrCodeRequestCanceled))
	ends(t, conn)
	if got := b.refused(reasonHeader); got != 1 {
		t.Fatalf("%v refusals counted, want 1", got)
	}
}

func TestRequestsBesideAHalfSentHeaderFinish(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	b := newHeaderBench(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-release
		}
		hello(w, r)
	})
	conn, client := b.known(t, "meter-1")
	answer := make(chan error, 1)
	go func() {
		rsp, err := client.RoundTrip(must[*http.Request](t)(http.NewRequest("GET", url("/slow"), nil)))
		if err == nil {
			readAll(t, rsp)
		}
		answer <- err
	}()
	<-entered
	openHalf(t, conn, 3)
	eventually(t, "GOAWAY has come: the client opens no more streams", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.OpenRequestStream(ctx)
		return err != nil && conn.Context().Err() == nil
	})
	close(release)
	check(t, <-answer)
	ends(t, conn)
}

func TestEndlessRequestKeepsNoHalfSentHeader(t *testing.T) {
	entered := make(chan struct{})
	b := newBench(t, func(w http.ResponseWriter, r *http.Request) { close(entered); <-r.Context().Done() }, func(c *Config) {
		c.Limits.HeaderTimeout, c.Limits.BodyIdle, c.Limits.IdleTimeout = shortHeaderTimeout, shortHeaderTimeout, time.Hour
	})
	conn, err := b.dialQUIC(t, b.h3TLS())
	check(t, err)
	client := (&http3.Transport{}).NewClientConn(conn)
	go func() { _, _ = client.RoundTrip(must[*http.Request](t)(http.NewRequest("GET", url("/"), nil))) }()
	<-entered
	openHalf(t, conn, 1)
	ends(t, conn)
}

// Idle connections, and such whose streams ended without a request, are no
// hoards.
func TestConnectionsWithoutWaitingStreamsStay(t *testing.T) {
	b := newHeaderBench(t, func(w http.ResponseWriter, r *http.Request) { hello(w, r) })
	idle, idleClient := b.known(t, "meter-1")
	conn, client := b.known(t, "meter-2")
	for _, str := range openHalf(t, conn, 2) { // given up
		str.CancelWrite(quic.StreamErrorCode(http3.ErrCodeRequestCanceled))
	}
	for _, str := range openHalf(t, conn, 2) { // ended too early
		check(t, str.Close())
	}
	large := must[*quic.Stream](t)(conn.OpenStream()) // answered 431 by the HTTP/3 server itself
	must[int](t)(large.Write([]byte{0x01, 0x80, 0x10, 0x00, 0x00}))
	malformed := must[*quic.Stream](t)(conn.OpenStream())
	must[int](t)(malformed.Write([]byte{0x01, 0x03, 0x00, 0x00, 0xff}))
	timeout := time.After(4 * shortHeaderTimeout)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for waiting := true; waiting; {
		select {
		case <-tick.C:
			ask(t, client)
		case <-timeout:
			waiting = false
		}
	}
	ask(t, idleClient)
	if idle.Context().Err() != nil || conn.Context().Err() != nil || b.refused(reasonHeader) != 0 {
		t.Fatalf("closed: %v, %v; %v refusals", context.Cause(idle.Context()), context.Cause(conn.Context()), b.refused(reasonHeader))
	}
}

func TestHeaderlessStreamsAreKnownInWhateverOrder(t *testing.T) {
	h := headerless{epoch: time.Now(), most: 4}
	wait := func(want ...quic.StreamID) {
		t.Helper()
		var got []quic.StreamID
		for _, w := range h.waiting {
			got = append(got, w.id)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("waiting: %v, want %v", got, want)
		}
	}
	h.over(4) // its handler was faster than the report of its packet
	wait(0)
	h.opened(4)
	h.opened(0)
	wait(0)
	h.opened(12)
	wait(0, 8, 12)
	h.over(8)
	h.over(8)
	wait(0, 12)
	for _, other := range []quic.StreamID{2, 3, 17, -4} { // not requests
		h.opened(other)
	}
	wait(0, 12)
	h.opened(1 << 60) // beyond what QUIC lets a peer open
	wait(0, 12)
	h.unwanted(0)
	h.answered(0)
	wait(0, 12)
	h.answered(12)
	h.over(0)
	if _, waits := h.oldest(); waits || h.any() {
		t.Fatal("still waiting")
	}
}
