package agent_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/dev"
)

// near and far run a check against a service of the device's own region, and
// against one that only another region has.
func nearAndFar(t *testing.T, h http.Handler, check func(t *testing.T, c *client)) {
	for name, home := range map[string]string{"local": "eu-1", "across the mesh": "eu-2"} {
		t.Run(name, func(t *testing.T) {
			m := startMesh(t, dev.Config{Regions: 2, Agents: 1}, h, home)
			check(t, deviceAt(t, m, "eu-1"))
		})
	}
}

func TestBodiesStreamBothWaysBeforeEitherEnds(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(http.StatusOK)
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			fmt.Fprintln(w, "echo "+lines.Text())
			_ = http.NewResponseController(w).Flush()
		}
	})
	nearAndFar(t, echo, func(t *testing.T, c *client) {
		out, in := io.Pipe()
		defer in.Close()
		answered := make(chan *http.Response, 1)
		go func() {
			resp, err := c.h3.RoundTrip(c.request("POST", "/svc", out))
			if err != nil {
				t.Errorf("round trip: %v", err)
			}
			answered <- resp
		}()
		fmt.Fprintln(in, "one")
		resp := <-answered
		if resp == nil {
			return
		}
		defer resp.Body.Close()
		back := bufio.NewReader(resp.Body)
		for _, word := range []string{"one", "two", "three"} {
			if word != "one" {
				fmt.Fprintln(in, word)
			}
			line, err := back.ReadString('\n')
			if err != nil || line != "echo "+word+"\n" {
				t.Fatalf("sent %q, while the request was still open got %q, %v", word, line, err)
			}
		}
	})
}

func TestLargeBodiesArriveWhole(t *testing.T) {
	sum := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, err := io.Copy(h, r.Body)
		fmt.Fprintf(w, "%d %x %v", n, h.Sum(nil), err)
	})
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<17) // 2 MiB
	nearAndFar(t, sum, func(t *testing.T, c *client) {
		want := fmt.Sprintf("%d %x <nil>", len(body), sha256.Sum256(body))
		if _, got := c.send("POST", "/svc", body); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestCancellationReachesTheService(t *testing.T) {
	arrived, gone := make(chan struct{}, 1), make(chan struct{}, 1)
	waits := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
		gone <- struct{}{}
	})
	nearAndFar(t, waits, func(t *testing.T, c *client) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-arrived
			cancel()
		}()
		if resp, err := c.h3.RoundTrip(c.request("GET", "/svc", nil).WithContext(ctx)); err == nil {
			_ = resp.Body.Close()
			t.Fatal("a cancelled request was answered")
		}
		select {
		case <-gone:
		case <-time.After(5 * time.Second):
			t.Fatal("the service did not hear of the cancellation")
		}
	})
}

func TestTrailersReachTheClient(t *testing.T) {
	trails := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Sum", "42")
	})
	nearAndFar(t, trails, func(t *testing.T, c *client) {
		resp, body := c.do(c.request("GET", "/svc", nil))
		if body != "body" || resp.Trailer.Get("X-Sum") != "42" {
			t.Errorf("body %q, trailer %v; want X-Sum 42", body, resp.Trailer)
		}
	})
}

func TestAnswerThatBreaksOffIsNotShownAsWhole(t *testing.T) {
	breaks := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100000")
		_, _ = w.Write(make([]byte, 50000))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	nearAndFar(t, breaks, func(t *testing.T, c *client) {
		resp, err := c.h3.RoundTrip(c.request("GET", "/svc", nil))
		if err != nil {
			return // broken off before the head: also visible
		}
		defer resp.Body.Close()
		if n, err := io.Copy(io.Discard, resp.Body); err == nil {
			t.Errorf("read %d bytes of 100000 without an error", n)
		}
	})
}
