package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

func readAll(t testing.TB, rsp *http.Response) string {
	t.Helper()
	defer rsp.Body.Close()
	return string(must[[]byte](t)(io.ReadAll(rsp.Body)))
}

func TestDrainLetsRequestsFinishAndRefusesNewOnes(t *testing.T) {
	each(t, protocols, func(t *testing.T, proto string) {
		entered, release := make(chan struct{}), make(chan struct{})
		b := newBench(t, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "begun ")
			w.(http.Flusher).Flush()
			close(entered)
			<-release
			fmt.Fprint(w, "finished")
		}, nil)
		client := b.client(t, proto)
		type answer struct {
			body  string
			close bool
		}
		answers := make(chan answer, 1)
		go func() {
			rsp := must[*http.Response](t)(client.Get(url("/")))
			answers <- answer{readAll(t, rsp), rsp.Close}
		}()
		<-entered
		drained := make(chan error, 1)
		go func() { drained <- b.Shutdown(t.Context()) }()
		eventually(t, "new connections are refused", func() bool {
			_, err := b.dialQUIC(t, b.h3TLS())
			return err != nil
		})
		b.wantRefusedTCP(t)
		select {
		case err := <-drained:
			t.Fatalf("drained (%v) with a request under way", err)
		default:
		}
		close(release)
		if got := <-answers; got.body != "begun finished" {
			t.Fatalf("got %q", got.body)
		}
		check(t, <-drained)
	})
}

func TestDrainSendsGoAway(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	b := newBench(t, func(http.ResponseWriter, *http.Request) { close(entered); <-release }, nil)
	conn, err := b.dialQUIC(t, b.h3TLS())
	check(t, err)
	client := (&http3.Transport{}).NewClientConn(conn)
	done := make(chan error, 1)
	go func() {
		rsp, err := client.RoundTrip(must[*http.Request](t)(http.NewRequest("GET", url("/"), nil)))
		if err == nil {
			rsp.Body.Close()
		}
		done <- err
	}()
	<-entered
	drained := make(chan error, 1)
	go func() { drained <- b.Shutdown(t.Context()) }()
	eventually(t, "GOAWAY has come: the client opens no more streams", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.OpenRequestStream(ctx)
		return err != nil && conn.Context().Err() == nil
	})
	close(release)
	check(t, <-done)
	check(t, <-drained)
}

func TestDrainClosesConnectionsThatStay(t *testing.T) {
	b := newBench(t, hello, nil)
	conn, err := b.dialQUIC(t, b.h3TLS()) // reads no GOAWAY
	check(t, err)
	eventually(t, "the connection is known", func() bool { return b.handshakes(protoQUIC, handshakeDone) == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	check(t, b.Shutdown(ctx))
	<-conn.Context().Done()
}

func TestDrainSaysCloseOnHTTP1(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	b := newBench(t, func(w http.ResponseWriter, r *http.Request) { close(entered); <-release; hello(w, r) }, nil)
	closes := make(chan bool, 1)
	client := b.client(t, "h1")
	go func() {
		rsp := must[*http.Response](t)(client.Get(url("/")))
		readAll(t, rsp)
		closes <- rsp.Close
	}()
	<-entered
	drained := make(chan error, 1)
	go func() { drained <- b.Shutdown(t.Context()) }()
	eventually(t, "the listener is closed", func() bool { return b.accepting.Err() != nil })
	b.wantRefusedTCP(t)
	close(release)
	if !<-closes {
		t.Fatal("the answer did not say Connection: close")
	}
	check(t, <-drained)
}

func TestDrainEndsWithItsContext(t *testing.T) {
	entered := make(chan struct{})
	left := make(chan struct{})
	b := newBench(t, func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		close(left)
	}, nil)
	client := b.client(t, "h3")
	done := make(chan error, 1)
	go func() { _, err := client.Get(url("/")); done <- err }()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want the context's error", err)
	}
	<-left
	if err := <-done; err == nil {
		t.Fatal("the request succeeded")
	}
}
