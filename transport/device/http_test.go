package device

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// site is an agent that speaks HTTP/3 and HTTP/2 and does what a test says.
type site struct {
	addr string
	h3   *http3.Server
}

func (w *town) site(t testing.TB, handler http.HandlerFunc) *site {
	t.Helper()
	s := &site{}
	var tcp net.Listener
	var packets net.PacketConn
	for range 10 {
		tcp = must[net.Listener](t)(net.Listen("tcp4", "127.0.0.1:0"))
		s.addr = tcp.Addr().String()
		var err error
		if packets, err = net.ListenPacket("udp4", s.addr); err == nil {
			break
		}
		_ = tcp.Close()
	}
	conf := w.server.Clone()
	conf.NextProtos = []string{"h2"}
	h2 := &http.Server{Handler: handler, Protocols: new(http.Protocols)}
	h2.Protocols.SetHTTP2(true)
	s.h3 = &http3.Server{Handler: handler, TLSConfig: http3.ConfigureTLSConfig(w.server.Clone())}
	var serving sync.WaitGroup
	serving.Go(func() { _ = h2.Serve(tls.NewListener(tcp, conf)) })
	serving.Go(func() { _ = s.h3.Serve(packets) })
	t.Cleanup(func() {
		_, _, _ = h2.Close(), s.h3.Close(), packets.Close()
		serving.Wait()
	})
	return s
}

func (w *town) quickHTTP(sites ...*site) Config {
	cfg := w.quick()
	cfg.Protocol = HTTP3
	for i, s := range sites {
		cfg.Endpoints = append(cfg.Endpoints, Endpoint{s.addr, fmt.Sprint("region-", i)})
	}
	return cfg
}

func TestWhatBecomesOfAMessageOverHTTP(t *testing.T) {
	w := newTown(t)
	for name, c := range map[string]struct {
		answers []int
		kind    error
	}{
		"accepted":                   {[]int{204}, nil},
		"busy, then accepted":        {[]int{503, 429, 200}, nil},
		"failed, then accepted":      {[]int{502, 504, 200}, nil},
		"credentials are renewed":    {[]int{401, 200}, nil},
		"not allowed":                {[]int{403}, ErrRefused},
		"no route":                   {[]int{404}, ErrRefused},
		"too large":                  {[]int{413}, ErrRefused},
		"elsewhere, says a redirect": {[]int{308}, ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, noUDP := range []bool{false, true} {
				var n atomic.Int32
				seen := make(chan string, 10)
				s := w.site(t, func(rw http.ResponseWriter, r *http.Request) {
					if r.Method != http.MethodPost {
						return
					}
					body, _ := io.ReadAll(r.Body)
					seen <- strings.Join([]string{r.URL.EscapedPath(), r.Header.Get("Idempotency-Key"), r.Header.Get("Content-Type"), r.Header.Get("X-Kind"), r.Header.Get("Connection"), r.Header.Get("Authorization"), string(body)}, "|")
					rw.Header().Set("Retry-After", "0")
					rw.Header().Set("Content-Type", "application/problem+json")
					rw.WriteHeader(c.answers[min(int(n.Add(1)), len(c.answers))-1])
					_, _ = rw.Write([]byte(`{"reason":"house-rule","detail":"because"}`))
				})
				cfg := w.quickHTTP(s)
				cfg.NoUDP, cfg.Credentials = noUDP, Credentials{Token: "abc"}
				client := open(t, cfg)
				err := client.Publish(within(t), Message{ID: "m", Topic: "a b/ü/c", ContentType: "text/plain", Payload: []byte("x"), Properties: map[string]string{"x-kind": "alarm", "connection": "close"}})
				if !errors.Is(err, c.kind) || (err == nil) != (c.kind == nil) || c.kind != nil && !strings.Contains(err.Error(), "house-rule because") {
					t.Errorf("without UDP %v: %v", noUDP, err)
				}
				if int(n.Load()) != len(c.answers) {
					t.Errorf("sent %d times", n.Load())
				}
				if got := <-seen; got != `/.tidegate/topics/a%20b/%C3%BC/c|"m"|text/plain|alarm||Bearer abc|x` {
					t.Errorf("sent %s", got)
				}
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 29, 1, 2, 3, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": time.Second, "0": time.Second, "7": 7 * time.Second, "-3": time.Second, "soon": time.Second, "99999999": time.Hour,
		"Sun, 29 Nov 2026 01:02:33 GMT": 30 * time.Second, "Sun, 29 Nov 2020 01:02:33 GMT": time.Second,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

// A device that is told to leave connects elsewhere before it goes: what is under
// way is answered.
func TestLeaveOnTheStreamOfCommands(t *testing.T) {
	w := newTown(t)
	for _, noUDP := range []bool{false, true} {
		release := make(chan struct{})
		var there, elsewhere atomic.Int32
		next := w.site(t, func(rw http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				elsewhere.Add(1)
			}
		})
		first := w.site(t, func(rw http.ResponseWriter, r *http.Request) {
			switch r.Method {
			case http.MethodPost:
				there.Add(1)
				<-release
			case http.MethodGet:
				rw.Header().Set("Content-Type", "text/event-stream")
				rw.WriteHeader(http.StatusOK)
				control := http.NewResponseController(rw)
				_, _ = io.WriteString(rw, ":\n\n")
				_ = control.Flush()
				for there.Load() == 0 && r.Context().Err() == nil {
					time.Sleep(5 * time.Millisecond)
				}
				_, _ = fmt.Fprintf(rw, "event: leave\ndata: {\"server\":%q,\"retry_ms\":1}\n\n", next.addr)
				_ = control.Flush()
				<-r.Context().Done()
			}
		})
		cfg := w.quickHTTP(first)
		cfg.NoUDP, cfg.Silence = noUDP, 2*time.Second
		cfg.Commands, cfg.Handler = []string{"c"}, nothingToDo
		client := open(t, cfg)
		slow := make(chan error, 1)
		go func() { slow <- client.Publish(within(t), Message{Topic: "slow"}) }()
		await(t, "the move", func() bool { return client.State().Endpoint.Addr == next.addr })
		if err := client.Publish(within(t), Message{Topic: "t"}); err != nil {
			t.Fatal(err)
		}
		close(release)
		if err := <-slow; err != nil {
			t.Error(err)
		}
		if there.Load() != 1 || elsewhere.Load() != 1 {
			t.Errorf("without UDP %v: %d came to the first, %d to the next", noUDP, there.Load(), elsewhere.Load())
		}
	}
}

// GOAWAY moves a device without losing what it sends meanwhile.
func TestGoAwayIsFollowed(t *testing.T) {
	w := newTown(t)
	var got [2]sync.Map
	var sites [2]*site
	for i := range sites {
		sites[i] = w.site(t, func(_ http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				got[i].Store(r.Header.Get("Idempotency-Key"), true)
			}
		})
	}
	client := open(t, w.quickHTTP(sites[:]...))
	if err := client.Publish(within(t), Message{Topic: "t"}); err != nil {
		t.Fatal(err)
	}
	first, other := 0, 1
	if client.State().Endpoint.Addr == sites[1].addr {
		first, other = 1, 0
	}
	go func() { _ = sites[first].h3.Shutdown(within(t)) }()
	for i := range 50 {
		if err := client.Publish(within(t), Message{ID: fmt.Sprint(i), Topic: "t"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	if at := client.State().Endpoint.Addr; at != sites[other].addr {
		t.Errorf("still at %s", at)
	}
	for i := range 50 {
		id := fmt.Sprintf("%q", fmt.Sprint(i))
		_, a := got[0].Load(id)
		_, b := got[1].Load(id)
		if a == b {
			t.Errorf("%s came to both, or none: %v", id, a)
		}
	}
}
