package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestConnectionsAreKept(t *testing.T) {
	addr, c := serve(t, echo), newClient(t, Config{HeaderTimeout: patience})
	for i := range 50 {
		word := fmt.Sprint("word ", i)
		if _, got := mustRead(t, c, addr, &Request{Method: "POST", RequestURI: "/", Bytes: []byte(word)}); got != word {
			t.Fatalf("sent %q, got %q", word, got)
		}
	}
	if s := c.Stats(); s.Dialed != 1 || s.Idle != 1 || s.Stale != 0 {
		t.Errorf("%+v", s)
	}
}

func TestAnswersNeverChangePlacesUnderLoad(t *testing.T) {
	addr, c := serve(t, echo), newClient(t, Config{MaxIdlePerInstance: 4, HeaderTimeout: patience})
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 50 {
				ctx, cancel := context.WithCancel(t.Context())
				if i%10 == 9 {
					time.AfterFunc(time.Duration(g*10)*time.Microsecond, cancel)
				}
				word := fmt.Sprintf("%d/%d", g, i)
				resp, err := c.Do(ctx, addr, &Request{Method: "POST", RequestURI: "/", Bytes: []byte(word)})
				if err == nil {
					got, err := io.ReadAll(resp.Body)
					if err == nil && string(got) != word {
						t.Errorf("sent %q, got %q", word, got)
					}
					resp.Body.Close()
				}
				if err != nil && i%10 != 9 {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if s := c.Stats(); s.Open != s.Idle {
		t.Errorf("%+v", s)
	}
}

func TestCancellationReachesTheInstance(t *testing.T) {
	for _, when := range []string{"before the head", "in the body"} {
		t.Run(strings.ReplaceAll(when, " ", "-"), func(t *testing.T) {
			arrived, gone := make(chan struct{}), make(chan struct{})
			addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if when == "in the body" {
					w.(http.Flusher).Flush()
				}
				close(arrived)
				<-r.Context().Done()
				close(gone)
			})
			c := newClient(t, Config{})
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-arrived; cancel() }()
			resp, err := c.Do(ctx, addr, &Request{RequestURI: "/"})
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrBroken) || errors.Is(err, ErrNotSent) {
				t.Errorf("got %v", err)
			}
			select {
			case <-gone:
			case <-time.After(patience):
				t.Error("the instance was not told")
			}
			if s := c.Stats(); s.Open != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestRequestWhoseContextHasEndedIsNotSent(t *testing.T) {
	arrived := make(chan struct{}, 1)
	addr := serve(t, func(http.ResponseWriter, *http.Request) { arrived <- struct{}{} })
	c := newClient(t, Config{})
	lost := errors.New("region lost")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(lost)
	_, err := c.Do(ctx, addr, &Request{RequestURI: "/"})
	if !errors.Is(err, ErrNotSent) || !errors.Is(err, context.Canceled) || !errors.Is(err, lost) {
		t.Error(err)
	}
	if len(arrived) > 0 || c.Stats().Dialed > 0 {
		t.Error("the instance was bothered")
	}
}

func TestDeadlineAndHeaderTimeoutAreTimeouts(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	c, impatient := newClient(t, Config{}), newClient(t, Config{HeaderTimeout: 20 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := c.Do(ctx, addr, &Request{RequestURI: "/"})
	if !errors.Is(err, ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Error("deadline:", err)
	}
	for kind, req := range map[string]*Request{
		"small":  {Method: "POST", RequestURI: "/", Bytes: []byte("x")},
		"stream": {Method: "POST", RequestURI: "/", Body: strings.NewReader("x"), ContentLength: -1},
	} {
		if _, _, err := read(t, impatient, addr, req); !errors.Is(err, ErrTimeout) || errors.Is(err, ErrNotSent) {
			t.Errorf("header timeout, %s: %v", kind, err)
		}
	}
}

// TestHeaderTimeoutEndsWithTheHead: the body may take longer, and the next
// request on that connection has its own.
func TestHeaderTimeoutEndsWithTheHead(t *testing.T) {
	const limit = 50 * time.Millisecond
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.(http.Flusher).Flush()
		<-time.After(2 * limit)
		io.Copy(w, r.Body)
	})
	c := newClient(t, Config{HeaderTimeout: limit})
	for range 2 {
		if _, got := mustRead(t, c, addr, &Request{Method: "PUT", RequestURI: "/", Bytes: []byte("late")}); got != "late" {
			t.Errorf("got %q", got)
		}
	}
	if s := c.Stats(); s.Dialed != 1 {
		t.Errorf("%+v", s)
	}
}

// TestHeaderTimeoutDoesNotBeginAfterAnEarlyHead: the upload may outlast it.
func TestHeaderTimeoutDoesNotBeginAfterAnEarlyHead(t *testing.T) {
	const limit = 50 * time.Millisecond
	uploaded := make(chan struct{})
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.(http.Flusher).Flush()
		io.Copy(io.Discard, r.Body)
		close(uploaded)
		<-time.After(3 * limit)
		io.WriteString(w, "late")
	})
	c := newClient(t, Config{HeaderTimeout: limit})
	body, feed := io.Pipe()
	resp, err := c.Do(t.Context(), addr, &Request{Method: "PUT", RequestURI: "/", Body: body, ContentLength: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	feed.Close()
	<-uploaded
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != "late" {
		t.Errorf("read %q: %v", got, err)
	}
}

func TestNothingListensIsNotSent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	c := newClient(t, Config{})
	_, err = c.Do(t.Context(), l.Addr().String(), &Request{RequestURI: "/"})
	if !errors.Is(err, ErrDial) || !errors.Is(err, ErrNotSent) || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Error(err)
	}
	if s := c.Stats(); s.Open != 0 || len(c.pools) != 0 {
		t.Errorf("%+v, %d pools", s, len(c.pools))
	}
}

// diesOnSecond answers the first request of its first connection and drops that
// connection upon the second; other connections live.
func diesOnSecond(t *testing.T, seen chan<- string) string {
	return rawServer(t, func(nth int, nc net.Conn, r *bufio.Reader) {
		for i := 0; ; i++ {
			req, ok := readRequest(r)
			if !ok {
				return
			}
			seen <- req.Method
			if nth == 0 && i == 1 {
				return
			}
			io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
}

func TestOnlyWhatIsSafeIsWrittenTwice(t *testing.T) {
	for _, tc := range []struct {
		req   Request
		twice bool
	}{
		{Request{Method: "GET"}, true},
		{Request{Method: "PUT", Bytes: []byte("x")}, true},
		{Request{Method: "PUT", Body: strings.NewReader("x"), ContentLength: 1}, true},
		{Request{Method: "POST", Bytes: []byte("x"), Repeat: RepeatAlways}, true},
		{Request{Method: "GET", Repeat: RepeatNever}, false},
		{Request{Method: "POST", Bytes: []byte("x")}, false},
		{Request{Method: "PUT", Body: strings.NewReader("x"), ContentLength: -1}, false},
	} {
		seen := make(chan string, 10)
		addr, c := diesOnSecond(t, seen), newClient(t, Config{})
		mustRead(t, c, addr, &Request{RequestURI: "/"})
		tc.req.RequestURI = "/"
		_, _, err := read(t, c, addr, &tc.req)
		if tc.twice != (err == nil) {
			t.Errorf("%s: %v", tc.req.Method, err)
		}
		if err != nil && (!errors.Is(err, ErrStale) || errors.Is(err, ErrNotSent)) {
			t.Errorf("%s: wrong kind: %v", tc.req.Method, err)
		}
		if n := len(seen); (n == 3) != tc.twice {
			t.Errorf("%s: the instance saw %d requests", tc.req.Method, n)
		}
	}
}

// An instance that restarted closed all connections; only a new one is sure to
// reach it.
func TestSecondWritingTakesANewConnection(t *testing.T) {
	const kept = 3
	addr := rawServer(t, func(nth int, nc net.Conn, r *bufio.Reader) {
		for i := 0; ; i++ {
			if _, ok := readRequest(r); !ok || nth < kept && i == 1 {
				return
			}
			io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
		}
	})
	c := newClient(t, Config{})
	hold(t, c, addr, kept)
	mustRead(t, c, addr, &Request{RequestURI: "/"})
	if s := c.Stats(); s.Dialed != kept+1 || s.Idle != 1 || s.Retried != 1 {
		t.Errorf("%+v, want the other kept connections closed", s)
	}
}

func TestLimitOfConnectionsRefusesAtOnce(t *testing.T) {
	release := make(chan struct{})
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-release
	})
	c := newClient(t, Config{MaxPerInstance: 2})
	var held []*Response
	for range 2 {
		resp, err := c.Do(t.Context(), addr, &Request{RequestURI: "/"})
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, resp)
	}
	if _, err := c.Do(t.Context(), addr, &Request{RequestURI: "/"}); !errors.Is(err, ErrBusy) || !errors.Is(err, ErrNotSent) {
		t.Error(err)
	}
	close(release)
	for _, resp := range held {
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	mustRead(t, c, addr, &Request{RequestURI: "/"})
}

// hold opens n connections at once, then ends their requests.
func hold(t *testing.T, c *Client, addr string, n int) {
	var open []*Response
	for range n {
		resp, err := c.Do(t.Context(), addr, &Request{RequestURI: "/"})
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, resp)
	}
	for _, resp := range open {
		io.Copy(io.Discard, resp.Body)
	}
}

func TestConnectionsOfABurstAreKeptForTheNextAndThenGivenUp(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		io.WriteString(w, "x")
	})
	c := newClient(t, Config{MaxIdlePerInstance: 2, IdleTimeout: time.Hour})
	c.period = time.Minute // swept by hand
	hold(t, c, addr, 10)
	hold(t, c, addr, 10)
	hold(t, c, addr, 1) // which says nothing of how many a burst needs
	c.closeUnused()
	if s := c.Stats(); s.Dialed != 10 || s.Idle != 10 {
		t.Errorf("after two bursts of 10 and a single request: %+v", s)
	}
	c.closeUnused()
	if s := c.Stats(); s.Open != 2 {
		t.Errorf("after nobody needed them: %+v, want two left", s)
	}
}

func TestUnusedConnectionsAreClosed(t *testing.T) {
	addr, c := serve(t, echo), newClient(t, Config{IdleTimeout: 40 * time.Millisecond})
	mustRead(t, c, addr, &Request{RequestURI: "/"})
	eventually(t, "the unused connection is closed", func() bool { return c.Stats().Open == 0 })
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pools) != 0 || c.sweep != nil {
		t.Errorf("%d pools and timer %v are left", len(c.pools), c.sweep)
	}
}

func TestClosedClientRefuses(t *testing.T) {
	addr, c := serve(t, echo), New(Config{})
	mustRead(t, c, addr, &Request{RequestURI: "/"})
	c.Close()
	c.Close()
	if _, err := c.Do(t.Context(), addr, &Request{RequestURI: "/"}); !errors.Is(err, ErrClosed) || !errors.Is(err, ErrNotSent) {
		t.Error(err)
	}
	if s := c.Stats(); s.Open != 0 {
		t.Errorf("%+v", s)
	}
}
