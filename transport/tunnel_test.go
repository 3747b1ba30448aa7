package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// both runs a test over QUIC and over TCP.
func both(t *testing.T, h http.HandlerFunc, test func(t *testing.T, tunnel *Tunnel)) {
	a := newTestAuthority(t)
	t.Run("quic", func(t *testing.T) {
		eu, us := startSite(t, a, "eu-1", "a"), startSite(t, a, "us-1", "b", handler(h))
		test(t, tunnelTo(t, eu, us))
	})
	t.Run("tcp", func(t *testing.T) {
		eu, us := udpBlocked(t, a, h)
		test(t, tunnelTo(t, eu, us))
	})
}

func TestBodiesStreamBothWays(t *testing.T) {
	both(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		line := make([]byte, 4)
		for {
			if _, err := io.ReadFull(r.Body, line); err != nil {
				return
			}
			w.Write(bytes.ToUpper(line))
			w.(http.Flusher).Flush()
		}
	}, func(t *testing.T, tunnel *Tunnel) {
		upload, feed := io.Pipe()
		req := request(t, t.Context(), "POST", "/", "")
		req.Body, req.GetBody, req.ContentLength = upload, nil, -1
		resp, err := tunnel.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for i := range 3 {
			ping := fmt.Sprintf("abc%d", i)
			feed.Write([]byte(ping))
			pong := make([]byte, 4)
			if _, err := io.ReadFull(resp.Body, pong); err != nil || string(pong) != strings.ToUpper(ping) {
				t.Fatalf("sent %s, got %s, %v", ping, pong, err)
			}
		}
		if tunnel.InFlight() != 1 {
			t.Error("in flight:", tunnel.InFlight())
		}
		feed.Close()
		if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) != 0 {
			t.Errorf("%q, %v", rest, err)
		}
		if tunnel.InFlight() != 0 {
			t.Error("in flight:", tunnel.InFlight())
		}
	})
}

func TestLargeBodiesArriveWhole(t *testing.T) {
	both(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Length", fmt.Sprint(r.ContentLength))
		io.Copy(w, r.Body)
	}, func(t *testing.T, tunnel *Tunnel) {
		for _, size := range []int{0, 1, inlineBody, inlineBody + 1, 3 << 20} {
			sent := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
			req := request(t, t.Context(), "POST", "/", string(sent))
			resp, err := tunnel.RoundTrip(req)
			if err != nil {
				t.Fatal(size, err)
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || !bytes.Equal(got, sent) || resp.Header.Get("X-Length") != fmt.Sprint(size) {
				t.Errorf("%d: got %d bytes, length %s, %v", size, len(got), resp.Header.Get("X-Length"), err)
			}
		}
	})
}

func TestCancellationReachesTheHandler(t *testing.T) {
	started, ended := make(chan struct{}, 1), make(chan error, 1)
	both(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/streaming" {
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
		}
		started <- struct{}{}
		<-r.Context().Done()
		ended <- r.Context().Err()
	}, func(t *testing.T, tunnel *Tunnel) {
		reason := errors.New("device went away")
		ctx, cancel := context.WithCancelCause(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := tunnel.RoundTrip(request(t, ctx, "POST", "/", "x"))
			failed <- err
		}()
		<-started
		cancel(reason)
		if err := <-failed; !errors.Is(err, reason) {
			t.Errorf("before the answer: %v", err)
		}
		within(t, ended)

		ctx, cancel = context.WithCancelCause(t.Context())
		resp, err := tunnel.RoundTrip(request(t, ctx, "POST", "/streaming", "x"))
		if err != nil {
			t.Fatal(err)
		}
		<-started
		cancel(reason)
		if _, err := io.ReadAll(resp.Body); !errors.Is(err, reason) {
			t.Errorf("during the answer: %v", err)
		}
		within(t, ended)

		if resp, err = tunnel.RoundTrip(request(t, t.Context(), "POST", "/streaming", "x")); err != nil {
			t.Fatal(err)
		}
		<-started
		resp.Body.Close()
		within(t, ended)
		if tunnel.InFlight() != 0 || !tunnel.Live() {
			t.Error(tunnel.InFlight(), tunnel.Live())
		}
	})
}

func within(t *testing.T, ended <-chan error) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(2 * time.Second):
		t.Fatal("the handler was not told")
	}
}

func TestTrailersCrossBothWays(t *testing.T) {
	both(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.Copy(w, r.Body)
		w.Header().Set("X-Sum", "got "+r.Trailer.Get("X-Check"))
	}, func(t *testing.T, tunnel *Tunnel) {
		for _, check := range []string{"", "42"} {
			req := request(t, t.Context(), "POST", "/", "body")
			if check != "" {
				req.Trailer = http.Header{"X-Check": {check}}
			}
			resp, err := tunnel.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || string(body) != "body" || resp.Trailer.Get("X-Sum") != "got "+check {
				t.Errorf("%q, trailer %v, %v", body, resp.Trailer, err)
			}
		}
	})
}

func TestEarlyAnswerDoesNotWaitForTheBody(t *testing.T) {
	both(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
	}, func(t *testing.T, tunnel *Tunnel) {
		upload, feed := io.Pipe()
		req := request(t, t.Context(), "POST", "/", "")
		req.Body, req.GetBody, req.ContentLength = upload, nil, 1<<20
		resp, err := tunnel.RoundTrip(req)
		if err != nil || resp.StatusCode != http.StatusServiceUnavailable {
			t.Fatal(resp, err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		eventually(t, 2*time.Second, "request body closed", func() bool {
			_, err := feed.Write([]byte("more"))
			return err != nil
		})
	})
}

func TestBrokenRequestBodyIsNobodysFault(t *testing.T) {
	arrived, broken := make(chan error), errors.New("device lost")
	both(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadFull(r.Body, make([]byte, 4))
		arrived <- err
		_, err = io.ReadAll(r.Body)
		arrived <- err
	}, func(t *testing.T, tunnel *Tunnel) {
		for name, end := range map[string]error{"fails": broken, "too short": io.EOF} {
			upload, feed := io.Pipe()
			req := request(t, t.Context(), "POST", "/", "")
			req.Body, req.GetBody, req.ContentLength = upload, nil, 100
			failed := make(chan error, 1)
			go func() {
				_, err := tunnel.RoundTrip(req)
				failed <- err
			}()
			feed.Write([]byte("half"))
			<-arrived
			feed.CloseWithError(end)
			if err := <-failed; errors.Is(err, ErrTunnelLost) || errors.Is(err, ErrNotSent) || errors.Is(err, broken) != (end == broken) {
				t.Errorf("%s: %v", name, err)
			}
			if err := <-arrived; err == nil {
				t.Errorf("%s: the handler took half a body for a whole one", name)
			}
		}
	})
}

func TestPanickingHandlerMayHaveProcessed(t *testing.T) {
	both(t, func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
		func(t *testing.T, tunnel *Tunnel) {
			_, err := tunnel.RoundTrip(request(t, t.Context(), "POST", "/", "x"))
			if !errors.Is(err, ErrTunnelLost) || errors.Is(err, ErrNotSent) || !tunnel.Live() {
				t.Error(err, tunnel.Live())
			}
		})
}

func TestAnswerTornOffIsAnError(t *testing.T) {
	both(t, func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("half"))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}, func(t *testing.T, tunnel *Tunnel) {
		resp, err := tunnel.RoundTrip(request(t, t.Context(), "GET", "/", ""))
		if err == nil { // else the reset overtook the header
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		if !errors.Is(err, ErrTunnelLost) || tunnel.InFlight() != 0 {
			t.Error(err, tunnel.InFlight())
		}
	})
}

func TestInformationalAnswersAreSkipped(t *testing.T) {
	both(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusAccepted)
	}, func(t *testing.T, tunnel *Tunnel) {
		resp, err := tunnel.RoundTrip(request(t, t.Context(), "POST", "/", "x"))
		if err != nil || resp.StatusCode != http.StatusAccepted {
			t.Fatal(resp, err)
		}
		resp.Body.Close()
	})
}

func TestTunnelTakesNoMoreThanItsLimit(t *testing.T) {
	a := newTestAuthority(t)
	release := make(chan struct{})
	eu := startSite(t, a, "eu-1", "a", func(c *MeshConfig) { c.Limits.StreamsPerTunnel = 2 })
	us := startSite(t, a, "us-1", "b", handler(func(w http.ResponseWriter, r *http.Request) { <-release }))
	tunnel := tunnelTo(t, eu, us)
	var waiting sync.WaitGroup
	for range 2 {
		waiting.Go(func() { answer(t, tunnel, request(t, t.Context(), "POST", "/", "x")) })
	}
	eventually(t, 2*time.Second, "two in flight", func() bool { return tunnel.InFlight() == 2 })
	if _, err := tunnel.RoundTrip(request(t, t.Context(), "POST", "/", "x")); !errors.Is(err, ErrNotSent) {
		t.Error(err)
	}
	close(release)
	waiting.Wait()
}

func TestOversizedHeadersAreRefused(t *testing.T) {
	a := newTestAuthority(t)
	eu := startSite(t, a, "eu-1", "a")
	us := startSite(t, a, "us-1", "b", func(c *MeshConfig) { c.Limits.HeaderBytes = 2048 }, handler(nobody))
	req := request(t, t.Context(), "GET", "/", "")
	req.Header.Set("X-Large", strings.Repeat("x", 4096))
	resp, err := tunnelTo(t, eu, us).RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
}

func TestManyRequestsShareATunnel(t *testing.T) {
	both(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }, func(t *testing.T, tunnel *Tunnel) {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for j := range 25 {
					want := fmt.Sprint(i, ".", j)
					if got := answer(t, tunnel, request(t, t.Context(), "POST", "/", want)); got != want {
						t.Errorf("sent %s, got %s", want, got)
					}
				}
			})
		}
		all.Wait()
	})
}
