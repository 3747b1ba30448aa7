package test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/test/mesh"
)

// pending is a request that its instance holds.
type pending struct {
	answer *mesh.Answer
	err    error
}

// hold sends a request to the instance that answers when it is told to.
func (b *broken) hold(t *testing.T, send func(context.Context, mesh.Request) (*mesh.Answer, error)) <-chan pending {
	t.Helper()
	done := make(chan pending, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 15*time.Second)
		defer cancel()
		ans, err := send(ctx, mesh.Request{Path: "/slow?hold"})
		done <- pending{ans, err}
	}()
	select {
	case <-b.slow.Arrived():
	case early := <-done:
		t.Fatalf("a request to be held was answered: %+v", early)
	}
	return done
}

func agentsDrain(t *testing.T, b *broken) {
	leaving := b.eu1.Agents[0]
	near := mesh.StartTraffic(t, "/depot", 50, b.us1.Agents...)
	far := mesh.StartTraffic(t, "/depot", 150, b.eu2.Agents...)
	conn := leaving.Connect(t)
	here := b.hold(t, conn.Try)
	there := b.hold(t, b.eu2.Agents[0].Device(t, "", nil).Try)

	began := time.Now()
	for _, a := range b.eu1.Agents {
		a.Terminate()
	}
	awaitGoAway(t, conn)
	if err := leaving.Get(admin.PathReady, nil); err == nil || !strings.Contains(err.Error(), "draining") {
		t.Errorf("readiness while draining: %v", err)
	}
	far.AwaitServed(began, 20, "us-1")
	for _, a := range b.eu1.Agents {
		mesh.Await(t, 10*time.Second, func() string {
			if registration(t, a) != nil {
				return a.Name + " is deregistered"
			}
			return ""
		})
	}
	if !leaving.Running() {
		t.Errorf("%s ended with a request in flight", leaving.Name)
	}
	b.slow.Release()
	b.slow.Release()
	for where, held := range map[string]<-chan pending{"its own edge": here, "eu-2's edge": there} {
		if got := <-held; got.err != nil || got.answer.Status != http.StatusOK || got.answer.ServedBy() != "eu-1/slow-1" {
			t.Errorf("the request in flight at %s: %+v, %v", where, got.answer, got.err)
		}
	}
	for _, a := range b.eu1.Agents {
		if status := a.Exit(t, 12*time.Second); status != 0 {
			t.Errorf("%s exits with %d", a.Name, status)
		}
	}
	far.AwaitSent(time.Now(), 100)
	far.Stop()
	near.Stop()
	mesh.NoneFailed(t, "eu-2 while eu-1 drains", far.Since(began))
	mesh.NoneFailed(t, "us-1 while eu-1 drains", near.Since(began))
}

// awaitGoAway waits until a connection that still is open takes no new request.
func awaitGoAway(t *testing.T, conn *mesh.Connection) {
	t.Helper()
	mesh.Await(t, 5*time.Second, func() string {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := conn.Try(ctx, mesh.Request{Path: "/hello"})
		if gone := context.Cause(conn.QUIC.Context()); gone != nil {
			t.Fatalf("the connection with a request in flight ended: %v", gone)
		}
		if err == nil || errors.Is(err, context.DeadlineExceeded) {
			return "the connection is told to go"
		}
		return ""
	})
}

// agentsMove starts one drained and one killed agent elsewhere; nobody is told
// but Consul.
func agentsMove(t *testing.T, b *broken) {
	drained, killed := b.eu1.Agents[0], b.eu1.Agents[1]
	killed.Kill()
	drained.Terminate()
	if status := drained.Exit(t, 12*time.Second); status != 0 {
		t.Errorf("%s exits with %d", drained.Name, status)
	}
	drained.Move(t, "127.0.1.11")
	killed.Move(t, "127.0.1.1")
	b.Start(t)
	b.AwaitWhole(t)
	for _, a := range b.eu1.Agents {
		awaitPassing(t, a)
		if ans := a.Device(t, "", nil).Get(t, "/depot"); ans.Echo.Region != "eu-1" {
			t.Errorf("at %s depot is served by %q", a.EdgeAddr(), ans.ServedBy())
		}
	}
	device := b.eu2.Agents[0].Device(t, "", nil)
	mesh.Await(t, 40*time.Second, func() string { // its share comes back over 30 s
		if ans := device.Get(t, "/depot"); ans.Echo.Region != "eu-1" {
			return "at eu-2 depot is served by " + ans.ServedBy()
		}
		return ""
	})
}
