package test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/test/mesh"
)

// broken is a mesh whose parts break one after the other. Each part begins with
// a whole mesh, so each also shows the return after the one before.
type broken struct {
	*mesh.Mesh
	t             *testing.T // of the whole test
	eu1, eu2, us1 *mesh.Region
	depot         []*mesh.Instance // of eu-1
	slow          *mesh.Instance   // in eu-1
}

// TestConsulFailures breaks what can break, in one mesh.
func TestConsulFailures(t *testing.T) {
	m := mesh.New(t, mesh.Config{Policy: policySource})
	b := &broken{Mesh: m, t: t, eu1: m.Region("eu-1"), eu2: m.Region("eu-2"), us1: m.Region("us-1")}
	b.depot = serveDepot(t, b.eu1)
	serveDepot(t, b.us1)
	b.slow = b.eu1.Serve(t, mesh.Spec{Service: "slow", ID: "slow-1"})
	m.Start(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *broken)
	}{
		{"InstancesGoCritical", instancesGoCritical},
		{"InstancesCrash", instancesCrash},
		{"InstanceComesAndGoes", instanceComesAndGoes},
		{"ConsulServersAreKilled", consulServersAreKilled},
		{"AgentsAreKilled", agentsAreKilled},
		{"AgentsDrain", agentsDrain},
		{"AgentsMove", agentsMove},
	} {
		t.Run(part.name, func(t *testing.T) {
			b.Start(t)
			b.AwaitWhole(t)
			part.run(t, b)
		})
	}
}

// egressServed waits until a local service in eu-2 is served in a region.
func egressServed(t *testing.T, b *broken, region string) {
	t.Helper()
	mesh.Await(t, 10*time.Second, func() string {
		ans, err := b.eu2.Agents[0].Egress(t.Context(), "depot", "/")
		if err != nil {
			return "egress: " + err.Error()
		}
		if ans.Echo.Region != region {
			return "egress is served in " + region + ", not: " + ans.ServedBy()
		}
		return ""
	})
}

func instancesGoCritical(t *testing.T, b *broken) {
	traffic := mesh.StartTraffic(t, "/depot", 100, slices.Concat(b.eu1.Agents, b.eu2.Agents)...)
	began := time.Now()
	traffic.AwaitServed(began, 20, "eu-1")
	for _, i := range b.depot {
		i.SetHealthy(false)
	}
	traffic.AwaitServed(time.Now(), 20, "us-1")
	egressServed(t, b, "us-1")
	ans := mesh.JSON[admin.ExplainAnswer](t, b.eu1.Agents[0], "explain", "GET", "/depot")
	if ans.Region != "us-1" || !slices.ContainsFunc(ans.Steps, passedOver("eu-1")) {
		t.Errorf("explain does not tell why eu-1 is passed over: %+v", ans)
	}
	for _, i := range b.depot {
		i.SetHealthy(true)
	}
	traffic.AwaitServed(time.Now(), 20, "eu-1")
	egressServed(t, b, "eu-1")
	traffic.Stop()
	mesh.Judge(t, "while instances were critical", traffic.Since(began), time.Second, 1)
}

// passedOver finds the step that passes over a region, with its reason.
func passedOver(region string) func(policy.Step) bool {
	return func(s policy.Step) bool { return s.Subject == region && !s.Taken && s.Reason != "" }
}

func instancesCrash(t *testing.T, b *broken) {
	traffic := mesh.StartTraffic(t, "/depot", 100, slices.Concat(b.eu1.Agents, b.eu2.Agents)...)
	crashed := time.Now()
	for _, i := range b.depot {
		i.Crash()
	}
	traffic.AwaitServed(crashed, 60, "us-1")
	for _, i := range b.depot {
		i.Revive(t)
	}
	traffic.AwaitServed(time.Now(), 20, "eu-1")
	traffic.Stop()
	mesh.Judge(t, "from the crash of all instances", traffic.Since(crashed), time.Second, 1)
}

func instanceComesAndGoes(t *testing.T, b *broken) {
	device := b.eu2.Agents[1].Device(t, "", nil)
	if ans := device.Get(t, "/split"); ans.Status != http.StatusServiceUnavailable {
		t.Fatalf("echo is served in %q before anybody has one", ans.ServedBy())
	}
	stays := b.eu1.Serve(b.t, mesh.Spec{Service: "echo", ID: "echo-stays", Tags: []string{"stable", "canary"}})
	b.AwaitWhole(t)
	if ans := device.Get(t, "/split"); ans.ServedBy() != "eu-1/echo-stays" {
		t.Errorf("registered in eu-1, but at eu-2 echo is served by %q", ans.ServedBy())
	}
	added := b.eu1.Serve(t, mesh.Spec{Service: "echo", ID: "echo-added", Tags: []string{"stable", "canary"}})
	b.AwaitWhole(t)
	added.Deregister(t)
	b.AwaitWhole(t)
	before := added.Requests()
	for range 10 {
		if ans := device.Get(t, "/split"); ans.ServedBy() != "eu-1/echo-stays" {
			t.Errorf("of two instances one is deregistered, but echo is served by %q", ans.ServedBy())
		}
	}
	if added.Requests() != before {
		t.Errorf("the deregistered instance got %d requests more", added.Requests()-before)
	}
	emptyListIsNotBelieved(t, b, stays, device)
}

// emptyListIsNotBelieved: a Consul that lists nothing any more has more often
// lost its data, or the agent its rights, than a region its service.
func emptyListIsNotBelieved(t *testing.T, b *broken, last *mesh.Instance, device *mesh.Device) {
	t.Helper()
	last.Deregister(t)
	for _, a := range b.eu1.Agents {
		awaitStale(t, a)
	}
	for range 10 {
		if ans := device.Get(t, "/split"); ans.ServedBy() != "eu-1/echo-stays" {
			t.Errorf("the last instance is not listed any more: %s, by %q", ran(ans), ans.ServedBy())
		}
	}
	last.Register(t)
	b.AwaitWhole(t)
}

// awaitStale waits until an agent shows that it routes on what it knew.
func awaitStale(t *testing.T, a *mesh.Agent) {
	t.Helper()
	mesh.Await(t, 15*time.Second, func() string {
		catalog := a.Services(t).Catalog
		if !catalog.Stale || catalog.Error == "" || catalog.AgeSeconds == nil {
			return a.Name + " shows that its catalog is stale"
		}
		return ""
	})
}

func consulServersAreKilled(t *testing.T, b *broken) {
	traffic := mesh.StartTraffic(t, "/depot", 60, b.Agents()...)
	killed := time.Now()
	b.eu1.Consul.Kill()
	for _, a := range b.eu1.Agents {
		awaitStale(t, a)
	}
	if catalog := b.eu2.Agents[0].Services(t).Catalog; catalog.Stale {
		t.Errorf("eu-2 has its own Consul, but its catalog is stale: %+v", catalog)
	}
	traffic.AwaitSent(time.Now(), 100)
	b.eu2.Consul.Kill()
	b.us1.Consul.Kill()
	traffic.AwaitSent(time.Now(), 100)
	for _, r := range b.Regions {
		r.Consul.Restart()
	}
	b.AwaitWhole(t)
	traffic.Stop()
	mesh.Judge(t, "from the death of Consul on", traffic.Since(killed), time.Second, 1)
}

func agentsAreKilled(t *testing.T, b *broken) {
	far := mesh.StartTraffic(t, "/depot", 60, b.eu2.Agents...)
	near := mesh.StartTraffic(t, "/depot", 30, b.us1.Agents...)
	far.AwaitServed(time.Now(), 20, "eu-1")
	killed := time.Now()
	for _, a := range b.eu1.Agents {
		a.Kill()
	}
	far.AwaitSent(killed, 300)
	far.AwaitServed(killed, 20, "us-1")
	if out := b.eu2.Agents[0].Command(t, "regions"); out.Status != 0 || !strings.Contains(out.Stdout, "down") {
		t.Errorf("tidegate regions does not show a region that is down: exit status %d\n%s", out.Status, out.Stdout)
	}
	down := time.Now()
	b.Start(t)
	far.AwaitServed(time.Now(), 20, "eu-1")
	t.Logf("traffic is back %s after the agents", time.Since(down).Round(10*time.Millisecond))
	far.Stop()
	near.Stop()
	mesh.Judge(t, "eu-2 from the death of eu-1 on", between(far.Since(killed), down), time.Second, 0.99)
	mesh.Judge(t, "us-1 from the death of eu-1 on", near.Since(killed), time.Second, 1)
	mesh.Judge(t, "eu-2 when eu-1 is back", far.Since(down), time.Second, 1)
}

// between drops the results that were due after a moment.
func between(results []mesh.Result, until time.Time) []mesh.Result {
	return slices.DeleteFunc(results, func(r mesh.Result) bool { return !r.Due.Before(until) })
}

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
	mesh.Judge(t, "eu-2 while eu-1 drains", far.Since(began), time.Second, 1)
	mesh.Judge(t, "us-1 while eu-1 drains", near.Since(began), time.Second, 1)
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

// agentsMove starts the drained agents elsewhere; nobody is told but Consul.
func agentsMove(t *testing.T, b *broken) {
	for _, a := range b.eu1.Agents {
		a.Terminate()
	}
	for n, a := range b.eu1.Agents {
		if status := a.Exit(t, 12*time.Second); status != 0 {
			t.Errorf("%s exits with %d", a.Name, status)
		}
		a.Move(t, []string{"127.0.1.11", "127.0.1.1"}[n])
	}
	b.Start(t)
	b.AwaitWhole(t)
	for _, a := range b.eu1.Agents {
		awaitPassing(t, a)
		if ans := a.Device(t, "", nil).Get(t, "/depot"); ans.Echo.Region != "eu-1" {
			t.Errorf("at %s depot is served by %q", a.EdgeAddr(), ans.ServedBy())
		}
	}
	if ans := b.eu2.Agents[0].Device(t, "", nil).Get(t, "/depot"); ans.Echo.Region != "eu-1" {
		t.Errorf("at eu-2 depot is served by %q", ans.ServedBy())
	}
}
