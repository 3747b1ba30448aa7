package test

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/test/mesh"
)

func commandsTellWhatTheMeshKnows(t *testing.T, m *mesh.Mesh) {
	for _, a := range m.Region("eu-1").Agents { // one by its address, one by its socket
		members := mesh.JSON[admin.MembersAnswer](t, a, "members")
		if members.Self != a.Name || members.Region != "eu-1" || len(members.Members) != 6 {
			t.Errorf("members of %s: %+v", a.Name, members)
		}
		leads := 0
		for _, member := range members.Members {
			if member.Lead {
				leads++
			}
			if !member.Gateway || member.MeshAddr == "" || member.Region == "" {
				t.Errorf("of two agents both are gateways: %+v", member)
			}
		}
		if leads < 1 {
			t.Errorf("no lead among the members of %s", a.Name)
		}
		regions := mesh.JSON[admin.RegionsAnswer](t, a, "regions")
		if len(regions.Regions) != 3 || regions.Regions[0].Name != "eu-1" || !regions.Regions[0].Local {
			t.Fatalf("regions of %s: %+v", a.Name, regions)
		}
		for _, r := range regions.Regions[1:] {
			if r.Group != r.Name[:2] || r.RTTSeconds == nil || r.DigestAgeSeconds == nil || *r.DigestAgeSeconds > 10 || len(r.Gateways) != 2 {
				t.Errorf("%s knows of %s: %+v", a.Name, r.Name, r)
			}
		}
		checkServices(t, a, mesh.JSON[admin.ServicesAnswer](t, a, "services"))
		for _, table := range []string{"members", "regions", "services"} {
			if out := a.Command(t, table); out.Status != 0 || !strings.Contains(out.Stdout, "us-1") {
				t.Errorf("tidegate %s: exit status %d\n%s%s", table, out.Status, out.Stdout, out.Stderr)
			}
		}
	}
}

func checkServices(t *testing.T, a *mesh.Agent, ans admin.ServicesAnswer) {
	t.Helper()
	if ans.Catalog.Source != "consul" || ans.Catalog.Stale || ans.Catalog.AgeSeconds == nil {
		t.Errorf("catalog of %s: %+v", a.Name, ans.Catalog)
	}
	i := slices.IndexFunc(ans.Services, func(s admin.Service) bool { return s.Name == "echo" })
	if i < 0 {
		t.Fatalf("%s knows no echo: %+v", a.Name, ans.Services)
	}
	echo := ans.Services[i]
	if echo.Ready != 2 || len(echo.Instances) != 2 || len(echo.Regions) != 2 {
		t.Errorf("%s knows of echo: %+v", a.Name, echo)
	}
	for _, instance := range echo.Instances {
		want := []string{"stable"}
		if instance.ID == "server-"+a.Region.Name+"/echo-canary" {
			want = []string{"canary", "v2"}
		}
		if !slices.Equal(instance.Subsets, want) || instance.Status != "ready" || instance.Meta["version"] == "" {
			t.Errorf("instance %+v, want the subsets %v", instance, want)
		}
	}
}

func explainAgreesWithWhatHappens(t *testing.T, m *mesh.Mesh) {
	a := m.Region("eu-2").Agents[1]
	depot := mesh.JSON[admin.ExplainAnswer](t, a, "explain", "GET", "/depot")
	if depot.Route != "depot" || depot.Region != "eu-1" || !strings.HasPrefix(depot.Instance, "eu-1-") || len(depot.Plan) != 2 || depot.Plan[1].Region != "us-1" {
		t.Errorf("explain of depot in eu-2: %+v", depot)
	}
	if ans := a.Device(t, "", nil).Get(t, "/depot"); ans.Echo.Region != depot.Region {
		t.Errorf("explained is %s, served in %s", depot.Region, ans.Echo.Region)
	}
	cel := []string{"explain", "GET", "/v1/devices/d7/commands", "--device", "d7", "--property", "tenant=acme", "-H", "X-Mode: on"}
	if ans := mesh.JSON[admin.ExplainAnswer](t, a, cel...); ans.Route != "cel" || ans.Region != "eu-2" || ans.Service != "echo" {
		t.Errorf("explain of an expression that holds: %+v", ans)
	}
	ans := mesh.JSON[admin.ExplainAnswer](t, a, append(cel, "-H", "X-Mode: off", "--device", "d8")...)
	passed := slices.ContainsFunc(ans.Steps, func(s policy.Step) bool { return s.Subject == "cel" && !s.Taken && s.Reason != "" })
	if ans.Route != "" || ans.Status != 404 || !passed {
		t.Errorf("explain of an expression that does not hold: %+v", ans)
	}
	hot := mesh.JSON[admin.ExplainAnswer](t, a, "explain", "POST", "/v1/telemetry", "-d", `{"temperature": 99.5, "unit": "C"}`)
	if hot.Route != "payload" || hot.Class != "high" {
		t.Errorf("explain of a payload: %+v", hot)
	}
	if out := a.Command(t, "explain", "GET", "/depot"); out.Status != 0 || !strings.Contains(out.Stdout, "eu-1") || !strings.Contains(out.Stdout, "✓") {
		t.Errorf("tidegate explain: exit status %d\n%s%s", out.Status, out.Stdout, out.Stderr)
	}
}

// registration is what Consul lists of an agent; nil when it does not.
func registration(t *testing.T, a *mesh.Agent) *api.ServiceEntry {
	t.Helper()
	entries, _, err := a.Region.Consul.Client().Health().Service("tidegate", "", false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Service.ID == a.ServiceID() {
			return e
		}
	}
	return nil
}

func addressOf(e *api.ServiceEntry) string {
	return net.JoinHostPort(e.Service.Address, strconv.Itoa(e.Service.Port))
}

func awaitPassing(t *testing.T, a *mesh.Agent) {
	t.Helper()
	mesh.Await(t, 15*time.Second, func() string {
		e := registration(t, a)
		switch {
		case e == nil:
			return a.Name + " is registered"
		case e.Checks.AggregatedStatus() != api.HealthPassing:
			return a.Name + " passes: " + e.Checks.AggregatedStatus()
		case addressOf(e) != a.EdgeAddr():
			return a.Name + " is registered at its address, not at " + addressOf(e)
		}
		return ""
	})
}

func agentsAreRegistered(t *testing.T, m *mesh.Mesh) {
	for _, a := range m.Agents() {
		awaitPassing(t, a)
		e := registration(t, a)
		if meta := e.Service.Meta; meta["agent"] != a.Name || meta["region"] != a.Region.Name || meta["lan"] == "" || meta["wan"] == "" || meta["mesh"] == "" {
			t.Errorf("%s is registered with %v", a.Name, meta)
		}
	}
	gone := m.Region("us-1").Agents[1]
	if err := gone.Region.Consul.Client().Agent().ServiceDeregister(gone.ServiceID()); err != nil {
		t.Fatal(err)
	}
	awaitPassing(t, gone)
}
