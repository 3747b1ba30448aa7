package test

import (
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
		{"AgentStartsWithoutConsul", agentStartsWithoutConsul},
		{"AgentsAreKilled", agentsAreKilled},
		{"AgentsDrain", agentsDrain},
		{"AgentsMove", agentsMove},
		{"PolicyIsAppliedEverywhere", policyIsAppliedEverywhere},
		{"BadPolicyIsRefused", badPolicyIsRefused},
		{"StragglersAreReported", stragglersAreReported},
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
	mesh.NoneFailed(t, "while instances were critical", traffic.Since(began))
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
	mesh.NoneFailed(t, "from the crash of all instances", traffic.Since(crashed))
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
		awaitStale(t, a, 15*time.Second)
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
func awaitStale(t *testing.T, a *mesh.Agent, patience time.Duration) {
	t.Helper()
	mesh.Await(t, patience, func() string {
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
		awaitStale(t, a, 15*time.Second)
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
	mesh.NoneFailed(t, "from the death of Consul on", traffic.Since(killed))
}

// agentStartsWithoutConsul: it knows from its disk what Consul told it before.
func agentStartsWithoutConsul(t *testing.T, b *broken) {
	a := b.eu1.Agents[0]
	b.eu1.Consul.Kill()
	a.Kill()
	a.Start(t)
	mesh.Await(t, 20*time.Second, func() string {
		if err := a.Get(admin.PathReady, nil); err != nil {
			return a.Name + " is ready: " + err.Error()
		}
		return ""
	})
	if catalog := a.Services(t).Catalog; catalog.Source != "disk" || !catalog.Stale {
		t.Errorf("the catalog of an agent that has not found Consul: %+v", catalog)
	}
	device := a.Device(t, "", nil)
	for range 10 {
		if ans := device.Get(t, "/depot"); ans.Echo.Region != "eu-1" {
			t.Errorf("depot is served by %q, %s", ans.ServedBy(), ran(ans))
		}
	}
	b.eu1.Consul.Restart()
}

// agentsAreKilled tries again when the machine was too busy to tell, up to
// four times.
func agentsAreKilled(t *testing.T, b *broken) {
	const what, within, least, tries = "eu-2 from the death of eu-1 on", time.Second, 0.99, 4
	for try := 1; ; try++ {
		results := killAgents(t, b)
		if try < tries && mesh.Stalled(results) && mesh.Share(results, within) < least {
			t.Logf("%s: %.2f%%, but requests were not even sent on time; trying again", what, 100*mesh.Share(results, within))
			b.AwaitWhole(t)
			continue
		}
		mesh.Judge(t, what, results, within, least)
		return
	}
}

// killAgents returns what became of the requests at eu-2, which were served in
// eu-1, between the death of eu-1's agents and their return.
func killAgents(t *testing.T, b *broken) []mesh.Result {
	t.Helper()
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
	back := time.Now()
	b.Start(t)
	far.AwaitServed(back, 20, "eu-1")
	t.Logf("traffic is back %s after the agents", time.Since(back).Round(10*time.Millisecond))
	far.Stop()
	near.Stop()
	mesh.NoneFailed(t, "us-1 from the death of eu-1 on", near.Since(killed))
	mesh.NoneFailed(t, "eu-2 when eu-1 is back", far.Since(back))
	return between(far.Since(killed), back)
}

// between drops the results that were due after a moment.
func between(results []mesh.Result, until time.Time) []mesh.Result {
	return slices.DeleteFunc(results, func(r mesh.Result) bool { return !r.Due.Before(until) })
}
