package edge

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

const overload = `{"title":"Service Unavailable","status":503}`

func overloaded(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		hello(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Retry-After", "2")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, overload)
}

func wantOverloaded(t *testing.T, rsp *http.Response) {
	t.Helper()
	if body := readAll(t, rsp); rsp.StatusCode != http.StatusServiceUnavailable || body != overload {
		t.Fatalf("status %d, body %q", rsp.StatusCode, body)
	}
	if rsp.Header.Get("Retry-After") != "2" {
		t.Errorf("Retry-After %q", rsp.Header.Get("Retry-After"))
	}
	if date, err := http.ParseTime(rsp.Header.Get("Date")); err != nil || time.Since(date).Abs() > 5*time.Second {
		t.Errorf("Date %q", rsp.Header["Date"])
	}
}

func TestRefusalBeforeTheBodyLeavesTheConnectionUsable(t *testing.T) {
	each(t, protocols, func(t *testing.T, proto string) {
		b := newBench(t, overloaded, nil)
		client := b.client(t, proto)
		for _, size := range []int{0, 200, 100 << 10} {
			for range 3 {
				rsp := must[*http.Response](t)(client.Post(url("/"), "text/plain", bytes.NewReader(make([]byte, size))))
				wantOverloaded(t, rsp)
			}
			if _, body := get(t, client, "/"); !strings.HasPrefix(body, "HTTP/") {
				t.Fatalf("then %q", body)
			}
		}
		if got := b.handshakes(protoQUIC, handshakeDone) + b.handshakes(protoTCP, handshakeDone); got != 1 {
			t.Fatalf("%v connections for twelve requests, want 1", got)
		}
	})
}

// A body that goes on and on is cut; on HTTP/2 and HTTP/3 that is its stream's
// business alone.
func TestRefusalOfAnEndlessBodyEndsTheSending(t *testing.T) {
	each(t, []string{"h2", "h3"}, func(t *testing.T, proto string) {
		b := newBench(t, overloaded, nil)
		client := b.client(t, proto)
		up, feed := io.Pipe()
		cut := make(chan error, 1)
		go func() {
			chunk := make([]byte, 4<<10)
			for {
				if _, err := feed.Write(chunk); err != nil {
					cut <- err
					return
				}
			}
		}()
		rsp := must[*http.Response](t)(client.Post(url("/"), "text/plain", up))
		wantOverloaded(t, rsp)
		select {
		case <-cut:
		case <-time.After(5 * time.Second):
			t.Fatal("the client still sends")
		}
		get(t, client, "/")
		if got := b.handshakes(protoQUIC, handshakeDone) + b.handshakes(protoTCP, handshakeDone); got != 1 {
			t.Fatalf("%v connections, want 1", got)
		}
	})
}

// net/http reads no more than 256 KiB to save a connection, and nothing that the
// client waits to be asked for.
func TestRefusalOfABodyThatIsNotWorthSkippingEndsAnHTTP1Connection(t *testing.T) {
	b := newBench(t, overloaded, nil)
	for _, framing := range []string{"Content-Length: 1000000000", "Content-Length: 200\r\nExpect: 100-continue"} {
		rsp, body := b.rawAnswer(t, "POST / HTTP/1.1\r\nHost: h\r\n"+framing+"\r\n\r\n")
		if rsp.StatusCode != http.StatusServiceUnavailable || !rsp.Close || body != overload {
			t.Fatalf("%s: status %d, close %v, body %q", framing, rsp.StatusCode, rsp.Close, body)
		}
	}
}

// What is left of a body is never taken for a request.
func TestRestOfABodyIsNoRequest(t *testing.T) {
	var smuggled atomic.Int64
	b := newBench(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/smuggled" {
			smuggled.Add(1)
		}
		if r.URL.Path == "/early" {
			_ = http.NewResponseController(w).EnableFullDuplex()
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		w.(http.Flusher).Flush()
	}, limited(func(l *Limits) { l.BodyIdle = 100 * time.Millisecond }))
	forged := "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
	body := strings.Repeat(forged, 8<<10)
	for _, path := range []string{"/", "/early"} {
		conn := b.raw(t)
		go func() {
			_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", path, len(body))
			_, _ = io.WriteString(conn, body)
		}()
		_, _ = io.Copy(io.Discard, conn)

		late := b.raw(t)
		_, _ = fmt.Fprintf(late, "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", path, len(forged))
		_, _ = http.ReadResponse(bufio.NewReader(late), nil)
		eventually(t, "the connection has ended", func() bool {
			_, err := io.WriteString(late, forged)
			return err != nil
		})
	}
	if smuggled.Load() != 0 {
		t.Fatalf("%d requests were read from a body", smuggled.Load())
	}
}

// A client that gives no credit cannot make small answers wait for it, although
// they have no deadline; larger ones have one.
func TestAnswersWithoutCreditDoNotPileUp(t *testing.T) {
	b := newBench(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write(bytes.Repeat([]byte("x"), map[string]int{"/small": 700, "/large": 3000}[r.URL.Path]))
	}, limited(func(l *Limits) { l.BodyIdle = 100 * time.Millisecond }))
	conn := b.dialWithoutCredit(t)
	client := (&http3.Transport{}).NewClientConn(conn)
	for range 20 {
		for _, path := range []string{"/small", "/large"} {
			str := must[*http3.RequestStream](t)(client.OpenRequestStream(t.Context()))
			check(t, str.SendRequestHeader(must[*http.Request](t)(http.NewRequest("GET", url(path), nil))))
		}
	}
	eventually(t, "the requests have come", func() bool { list := b.tracked(); return len(list) == 1 && list[0].requests.Load() == 40 })
	eventually(t, "no request is being answered", func() bool {
		var stacks bytes.Buffer
		check(t, pprof.Lookup("goroutine").WriteTo(&stacks, 2))
		return !strings.Contains(stacks.String(), "handleRequestStream")
	})
	if conn.Context().Err() != nil {
		t.Fatal("the connection was closed")
	}
}

func (b *bench) dialWithoutCredit(t testing.TB) *quic.Conn {
	t.Helper()
	conn, err := b.dial(t, b.h3TLS(), &quic.Config{InitialStreamReceiveWindow: 1, MaxStreamReceiveWindow: 1})
	check(t, err)
	return conn
}
