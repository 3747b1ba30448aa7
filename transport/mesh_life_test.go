package transport

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"
)

func TestTunnelComesBackAfterThePeerRestarts(t *testing.T) {
	a := newTestAuthority(t)
	key, err := LoadOrCreateResetKey(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	withKey := func(c *MeshConfig) { c.StatelessResetKey = key }
	eu := startSite(t, a, "eu-1", "a")
	us := startSite(t, a, "us-1", "b", withKey, handler(echoPeer))
	first := tunnelTo(t, eu, us)

	us.Close()
	us = startSite(t, a, "us-1", "b", withKey, onAddr(us.addr), handler(echoPeer))
	eventually(t, 7*time.Second, "tunnel on the same port", func() bool {
		next := eu.Tunnel(us.cfg.Self)
		return next != nil && next != first
	})
	answer(t, eu.Tunnel(us.cfg.Self), request(t, t.Context(), "GET", "/", ""))

	second := eu.Tunnel(us.cfg.Self)
	moved := startSite(t, a, "us-1", "b", withKey, handler(echoPeer))
	eu.Keep([]Endpoint{moved.endpoint()})
	eventually(t, 7*time.Second, "tunnel on another port", func() bool {
		next := eu.Tunnel(us.cfg.Self)
		return next != nil && next != second
	})
	us.Close()
	answer(t, eu.Tunnel(us.cfg.Self), request(t, t.Context(), "GET", "/", ""))
}

func TestCrashedPeerIsNoticedByItsResetKey(t *testing.T) {
	a := newTestAuthority(t)
	key, err := LoadOrCreateResetKey(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	conn := &lossyConn{}
	withKey := func(c *MeshConfig) { c.StatelessResetKey = key }
	eu := startSite(t, a, "eu-1", "a")
	us := startSite(t, a, "us-1", "b", withKey, lossy(conn))
	tunnel := tunnelTo(t, eu, us)
	conn.cut.Store(true) // no goodbye
	us.Close()
	startSite(t, a, "us-1", "b", withKey, onAddr(us.addr))
	begin := time.Now()
	eventually(t, 900*time.Millisecond, "reset", func() bool { return !tunnel.Live() })
	t.Log("noticed after", time.Since(begin))
}

func TestSilenceEndsATunnelAndItsRequests(t *testing.T) {
	a := newTestAuthority(t)
	conn := &lossyConn{}
	started := make(chan struct{})
	eu := startSite(t, a, "eu-1", "a", lossy(conn))
	us := startSite(t, a, "us-1", "b", handler(func(w http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
	}))
	tunnel := tunnelTo(t, eu, us)
	failed := make(chan error, 1)
	go func() {
		_, err := tunnel.RoundTrip(request(t, t.Context(), "POST", "/", "x"))
		failed <- err
	}()
	<-started
	conn.cut.Store(true)
	begin := time.Now()
	select {
	case err := <-failed:
		if !errors.Is(err, ErrTunnelLost) || errors.Is(err, ErrNotSent) {
			t.Error(err)
		}
		if took := time.Since(begin); took < 700*time.Millisecond {
			t.Errorf("given up after %v", took)
		}
	case <-time.After(1500 * time.Millisecond):
		t.Fatal("still waiting for a silent peer")
	}
	if _, err := tunnel.RoundTrip(request(t, t.Context(), "POST", "/", "x")); !errors.Is(err, ErrNotSent) {
		t.Error(err)
	}
	conn.cut.Store(false)
	eventually(t, 8*time.Second, "tunnel back after the silence", func() bool { return eu.Tunnel(us.cfg.Self) != nil })
}

func TestAbandonedRegionFailsAtOnce(t *testing.T) {
	a := newTestAuthority(t)
	started := make(chan struct{}, 1)
	eu := startSite(t, a, "eu-1", "a")
	us := startSite(t, a, "us-1", "b", handler(func(w http.ResponseWriter, r *http.Request) {
		started <- struct{}{}
		<-r.Context().Done()
	}))
	tunnel := tunnelTo(t, eu, us)
	failed := make(chan error, 1)
	go func() {
		_, err := tunnel.RoundTrip(request(t, t.Context(), "POST", "/", "x"))
		failed <- err
	}()
	<-started
	eu.Abandon("eu-9")
	begin := time.Now()
	eu.Abandon("us-1")
	if err := <-failed; !errors.Is(err, ErrTunnelLost) || time.Since(begin) > 200*time.Millisecond {
		t.Error(err, time.Since(begin))
	}
	eventually(t, 3*time.Second, "tunnel re-dialled", func() bool { return eu.Tunnel(us.cfg.Self) != nil })
}

func TestTunnelLeftOutOfKeepFinishesItsRequests(t *testing.T) {
	a := newTestAuthority(t)
	release := make(chan struct{})
	started := make(chan struct{})
	eu := startSite(t, a, "eu-1", "a")
	us := startSite(t, a, "us-1", "b", handler(func(w http.ResponseWriter, r *http.Request) {
		close(started)
		<-release
		w.Write([]byte("done"))
	}))
	tunnel := tunnelTo(t, eu, us)
	got := make(chan string, 1)
	go func() { got <- answer(t, tunnel, request(t, t.Context(), "POST", "/", "x")) }()
	<-started
	eu.Keep(nil)
	eventually(t, 2*time.Second, "taken out of use", func() bool { return !tunnel.Live() && eu.Tunnel(us.cfg.Self) == nil })
	close(release)
	if body := <-got; body != "done" {
		t.Error(body)
	}
	select {
	case <-tunnel.wire.done():
	case <-time.After(2 * time.Second):
		t.Error("connection stays open")
	}
}

func TestShutdownTurnsPeersAwayAndFinishesTheirRequests(t *testing.T) {
	a := newTestAuthority(t)
	release := make(chan struct{})
	started := make(chan struct{})
	eu, idle := startSite(t, a, "eu-1", "a"), startSite(t, a, "eu-1", "idle")
	us := startSite(t, a, "us-1", "b", handler(func(w http.ResponseWriter, r *http.Request) {
		close(started)
		<-release
		w.Write([]byte("done"))
	}))
	busyTunnel, idleTunnel := tunnelTo(t, eu, us), tunnelTo(t, idle, us)
	got := make(chan string, 1)
	go func() { got <- answer(t, busyTunnel, request(t, t.Context(), "POST", "/", "x")) }()
	<-started
	finished := make(chan error, 1)
	go func() { finished <- us.Shutdown(t.Context()) }()
	eventually(t, 3*time.Second, "both tunnels out of use", func() bool { return !busyTunnel.Live() && !idleTunnel.Live() })
	if _, err := busyTunnel.RoundTrip(request(t, t.Context(), "POST", "/", "x")); !errors.Is(err, ErrNotSent) {
		t.Error(err)
	}
	select {
	case err := <-finished:
		t.Fatal("shut down with a request in flight", err)
	default:
	}
	close(release)
	if body := <-got; body != "done" {
		t.Error(body)
	}
	if err := <-finished; err != nil {
		t.Error(err)
	}
	if eu.Tunnel(us.cfg.Self) != nil {
		t.Error("a draining peer let a new tunnel in")
	}
}

func TestShutdownGivesUpWithItsContext(t *testing.T) {
	a := newTestAuthority(t)
	started := make(chan struct{})
	eu := startSite(t, a, "eu-1", "a")
	us := startSite(t, a, "us-1", "b", handler(func(w http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
	}))
	tunnel := tunnelTo(t, eu, us)
	failed := make(chan error, 1)
	go func() {
		_, err := tunnel.RoundTrip(request(t, t.Context(), "POST", "/", "x"))
		failed <- err
	}()
	<-started
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := us.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if err := <-failed; !errors.Is(err, ErrTunnelLost) {
		t.Error(err)
	}
}
