package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/test/mesh"
)

// faulty is a mesh whose agents take faults.
type faulty struct {
	*mesh.Mesh
	t    *testing.T
	here *mesh.Agent // in eu-1: whom the operator asks
}

// Faults on a real mesh, each put in force and ended through one agent, with real
// Consul and agents as processes.
func TestOperatorsInjectFaultsIntoARealMesh(t *testing.T) {
	m := mesh.New(t, mesh.Config{Policy: policySource, Faults: true})
	for _, r := range m.Regions {
		serveEcho(t, r)
	}
	serveDepot(t, m.Region("eu-1"))
	serveDepot(t, m.Region("us-1"))
	m.Start(t)
	m.AwaitWhole(t)
	f := &faulty{m, t, m.Region("eu-1").Agents[0]}
	t.Run("only with the operator's token", f.needTheToken)
	t.Run("its port is closed to strangers and to devices", f.shutsStrangersOut)
	t.Run("a region is cut off, seen everywhere, and comes back", f.cutsARegionOff)
	t.Run("a cut between two regions ends by itself", f.endsByItself)
	t.Run("a region's catalog is away, its requests go on", f.takesTheCatalogAway)
	t.Run("an agent's clock jumps an hour, its requests go on", f.jumpsAClock)
	t.Run("a service fails for some", f.spoilsAService)
	t.Run("one drill at a time, whoever is asked", f.reservesTheMesh)
	t.Run("a drill runs, asked for in the region that it cuts off", f.drills)
	t.Run("at every agent that it concerns, or at none", f.allOrNone)
	t.Run("an agent crashes", f.crashesAnAgent)
}

// add puts a fault in force through the agent, by the command that operators use.
func (f *faulty) add(t *testing.T, args ...string) {
	t.Helper()
	if out := f.here.Command(t, f.adding(args...)...); out.Status != 0 {
		t.Fatalf("fault add %v: exit status %d: %s", args, out.Status, out.Stderr)
	}
}

func (f *faulty) adding(args ...string) []string {
	return append([]string{"fault", "add", "--operator", f.Operator(), "--id", "try"}, args...)
}

func (f *faulty) clear(t *testing.T) {
	t.Helper()
	if out := f.here.Command(t, "fault", "clear", "--operator", f.Operator()); out.Status != 0 {
		t.Fatalf("fault clear: exit status %d: %s", out.Status, out.Stderr)
	}
	if left := f.inForce(f.Agents()...); len(left) > 0 {
		t.Errorf("faults are left: %v", left)
	}
}

// inForce lists the faults that agents know, with the agents' names.
func (f *faulty) inForce(agents ...*mesh.Agent) (found []string) {
	for _, a := range agents {
		var ans admin.MembersAnswer
		if err := a.Get(admin.PathMembers, &ans); err != nil {
			found = append(found, err.Error())
		}
		for _, one := range ans.Faults {
			found = append(found, a.Name+": "+one.String())
		}
	}
	return found
}

// state of a region as an agent sees it.
func state(a *mesh.Agent, region string) string {
	var ans admin.RegionsAnswer
	if err := a.Get(admin.PathRegions, &ans); err != nil {
		return err.Error()
	}
	for _, r := range ans.Regions {
		if r.Name == region {
			return r.State
		}
	}
	return "unknown"
}

func awaitState(t *testing.T, want, region string, agents ...*mesh.Agent) {
	t.Helper()
	for _, a := range agents {
		mesh.Await(t, 10*time.Second, func() string {
			if got := state(a, region); got != want {
				return fmt.Sprintf("%s sees %s %s, not %s", a.Name, region, got, want)
			}
			return ""
		})
	}
}

func (f *faulty) needTheToken(t *testing.T) {
	for says, args := range map[string][]string{
		"operator token":          {"fault", "add", "region_outage", "region=eu-2", "--for", "5s"},
		"no region \"eu-9\"":      f.adding("region_outage", "region=eu-9", "--for", "5s"),
		"say for how long":        f.adding("region_outage", "region=eu-2"),
		"no service \"nothing\"":  f.adding("slow_service", "region=eu-2", "service=nothing", "takes=1s", "--for", "5s"),
		"cannot crash itself":     f.adding("agent_crash", "agent="+f.here.Name, "--for", "5s"),
		"sample services":         f.adding("capacity", "region=eu-2", "share=50%", "--for", "5s"),
		"there is no fault \"x\"": f.adding("x", "--for", "5s"),
	} {
		if out := f.here.Command(t, args...); out.Status == 0 || !strings.Contains(out.Stderr, says) {
			t.Errorf("%v: exit status %d, not %q: %s", args, out.Status, says, out.Stderr)
		}
	}
	if left := f.inForce(f.Agents()...); len(left) > 0 {
		t.Errorf("faults that were refused are in force: %v", left)
	}
}

func (f *faulty) shutsStrangersOut(t *testing.T) {
	for _, id := range []string{"", "meter-1"} {
		conf := f.ClientTLS(t, id, nil)
		conf.InsecureSkipVerify = true // it is about who asks
		transport := &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+f.here.FaultAddr()+admin.PathFaults, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(admin.HeaderOperator, f.Operator())
		if resp, err := transport.RoundTrip(req); err == nil {
			_ = resp.Body.Close()
			t.Errorf("device %q is answered: %s", id, resp.Status)
		} else if !strings.Contains(err.Error(), "tls") {
			t.Errorf("device %q: %v", id, err)
		}
	}
}

func (f *faulty) cutsARegionOff(t *testing.T) {
	f.add(t, "region_outage", "region=eu-2", "--for", "1m")
	if known := f.inForce(f.Agents()...); len(known) != len(f.Agents()) {
		t.Errorf("not every agent knows: %v", known)
	}
	if out := f.here.Command(t, "members"); !strings.Contains(out.Stdout, "region eu-2 cut off") {
		t.Errorf("members do not show it:\n%s", out.Stdout)
	}
	var metrics string
	mesh.Await(t, 5*time.Second, func() string {
		metrics = f.Region("eu-2").Agents[0].Metrics(t)
		if !strings.Contains(metrics, `tidegate_faults{kind="region_outage"} 1`) {
			return "the metrics of an agent that is cut off do not show it"
		}
		return ""
	})
	awaitState(t, policy.RegionDown.String(), "eu-2", f.Region("eu-1").Agents[0], f.Region("us-1").Agents[1])
	awaitState(t, policy.RegionDown.String(), "us-1", f.Region("eu-2").Agents[0])
	awaitState(t, policy.RegionAlive.String(), "us-1", f.here)
	f.clear(t)
	f.AwaitWhole(t)
}

func (f *faulty) endsByItself(t *testing.T) {
	f.add(t, "cut", "from=eu-1", "to=us-1", "--for", "4s")
	awaitState(t, policy.RegionDown.String(), "us-1", f.here)
	awaitState(t, policy.RegionAlive.String(), "us-1", f.Region("eu-2").Agents[0])
	mesh.Await(t, 10*time.Second, func() string { return strings.Join(f.inForce(f.Agents()...), ", ") })
	f.AwaitWhole(t)
}

func (f *faulty) takesTheCatalogAway(t *testing.T) {
	f.add(t, "catalog_down", "region=eu-1", "--for", "1m")
	for _, a := range f.Region("eu-1").Agents {
		mesh.Await(t, 10*time.Second, func() string {
			if !a.Services(t).Catalog.Stale {
				return a.Name + " does not say that its catalog is stale"
			}
			return ""
		})
	}
	if ans := f.here.Device(t, "", nil).Get(t, "/split"); ans.Status != http.StatusOK {
		t.Errorf("without a catalog: %s", ran(ans))
	}
	if f.Region("us-1").Agents[0].Services(t).Catalog.Stale {
		t.Error("the catalog of another region is stale, too")
	}
	f.clear(t)
	f.AwaitWhole(t)
}

func (f *faulty) jumpsAClock(t *testing.T) {
	a := f.Region("eu-2").Agents[1]
	date := func() time.Duration {
		at, err := http.ParseTime(a.Device(t, "", nil).Get(t, "/hello").Header.Get("Date"))
		if err != nil {
			t.Fatal(err)
		}
		return time.Until(at).Round(time.Minute)
	}
	if off := date(); off != 0 {
		t.Fatalf("before: the clock is off by %s", off)
	}
	f.add(t, "clock_jump", "agent="+a.Name, "by=1h", "--for", "1m")
	if off := date(); off != time.Hour {
		t.Errorf("the clock is off by %s", off)
	}
	if ans := a.Device(t, "meter-1", nil).Get(t, "/split"); ans.Status != http.StatusOK {
		t.Errorf("with a certificate, an hour ahead: %s", ran(ans))
	}
	f.clear(t)
	if off := date(); off != 0 {
		t.Errorf("after: the clock is off by %s", off)
	}
}

func (f *faulty) spoilsAService(t *testing.T) {
	f.add(t, "service_fault", "region=eu-1", "service=depot", "status=503", "delay=20ms", "--for", "1m")
	device, far := f.here.Device(t, "", nil), f.Region("us-1").Agents[0].Device(t, "", nil)
	if ans := device.Get(t, "/depot"); ans.Status != http.StatusServiceUnavailable || !strings.Contains(ans.Body, "fault-injected") {
		t.Errorf("the service that fails: %s", ran(ans))
	}
	if ans := device.Get(t, "/split"); ans.Status != http.StatusOK {
		t.Errorf("another service: %s", ran(ans))
	}
	if ans := far.Get(t, "/depot"); ans.ServedBy() == "" {
		t.Errorf("the same service elsewhere: %s", ran(ans))
	}
	f.clear(t)
	f.add(t, "instance_failure", "region=eu-1", "service=depot", "--for", "1m")
	mesh.Await(t, 5*time.Second, func() string {
		if ans := device.Get(t, "/depot"); !strings.HasPrefix(ans.ServedBy(), "us-1/") {
			return "a service whose instances all fail their checks is not left: " + ran(ans)
		}
		return ""
	})
	f.clear(t)
	f.AwaitWhole(t)
}

func (f *faulty) reservesTheMesh(t *testing.T) {
	reserve := admin.Fault{ID: "drill", Kind: admin.FaultDrill, Seconds: 30}
	if status := f.here.Post(t, admin.PathFaults, f.Operator(), reserve); status != http.StatusOK {
		t.Fatalf("the first drill: status %d", status)
	}
	other := f.Region("us-1").Agents[1]
	if status := other.Post(t, admin.PathFaults, f.Operator(), reserve); status != http.StatusConflict {
		t.Errorf("a second drill, through another agent: status %d", status)
	}
	if known := f.inForce(f.Agents()...); len(known) != len(f.Agents()) {
		t.Errorf("the first drill's reservation after the second was refused: %v", known)
	}
	f.clear(t)
}

func (f *faulty) drills(t *testing.T) {
	out := f.here.Command(t, "drill", "run", "testdata/drill.hcl", "--admin", f.here.AdminAddr(), "--ca", f.here.CAFile(), "--operator", f.Operator())
	if out.Status != 0 || !strings.Contains(out.Stdout, "PASS  drill cut") {
		t.Errorf("exit status %d:\n%s%s", out.Status, out.Stdout, out.Stderr)
	}
	if left := f.inForce(f.Agents()...); len(left) > 0 {
		t.Errorf("faults are left: %v", left)
	}
	f.AwaitWhole(t)
}

// One agent does not take the operator's token.
func (f *faulty) allOrNone(t *testing.T) {
	odd := f.Region("us-1").Agents[1]
	odd.SetOperator(t, "the-token-of-somebody-else")
	odd.Kill()
	odd.Start(t)
	f.AwaitWhole(t)
	out := f.here.Command(t, f.adding("cut", "from=eu-1", "to=us-1", "--for", "1m")...)
	if out.Status == 0 || !strings.Contains(out.Stderr, odd.Name) || !strings.Contains(out.Stderr, "another operator token") {
		t.Errorf("exit status %d: %s", out.Status, out.Stderr)
	}
	if left := f.inForce(f.Agents()...); len(left) > 0 {
		t.Errorf("refused by one, and in force: %v", left)
	}
	f.add(t, "catalog_down", "region=eu-1", "--for", "1m") // not its concern
	if known := f.inForce(f.Agents()...); len(known) != len(f.Agents())-1 {
		t.Errorf("known to %v", known)
	}
	if out := f.here.Command(t, "fault", "clear", "--operator", f.Operator()); !strings.Contains(out.Stderr, odd.Name) {
		t.Errorf("who could not be told is not named: exit status %d: %s", out.Status, out.Stderr)
	}
	odd.SetOperator(t, f.Operator())
	odd.Kill()
	odd.Start(t)
	f.AwaitWhole(t)
	if left := f.inForce(f.Agents()...); len(left) > 0 {
		t.Errorf("faults are left: %v", left)
	}
}

func (f *faulty) crashesAnAgent(t *testing.T) {
	gone := f.Region("eu-2").Agents[0]
	f.add(t, "agent_crash", "agent="+gone.Name, "--for", "2s")
	if status := gone.Exit(t, 5*time.Second); status != -1 {
		t.Errorf("the agent ends with exit status %d", status)
	}
	gone.Start(t)
	f.AwaitWhole(t)
}
