package dev

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/policy"
)

// stocked is a mesh whose svc lives in the last two of three regions: the first
// sends to the second, which is of its group.
func stocked(t *testing.T) *Mesh {
	return start(t, Config{Policy: []byte(svcPolicy), Services: []Service{{Name: "svc", Regions: []string{"eu-2", "us-1"}}}})
}

func TestCutRegionIsLeftAndComesBack(t *testing.T) {
	m := stocked(t)
	d := deviceAt(t, m, m.Regions[0].Agents[0])
	d.servedBy(t, "eu-2")
	if err := m.Cut("eu-2"); err != nil {
		t.Fatal(err)
	}
	d.servedBy(t, "us-1")
	inside := deviceAt(t, m, m.Regions[1].Agents[0])
	if region, err := inside.put(t.Context()); err == nil {
		t.Errorf("the lost region's edge answered a device: served by %s", region)
	}
	m.Heal("eu-2")
	d.servedBy(t, "eu-2")
	inside.servedBy(t, "eu-2")
}

func TestCrashedAgentIsMissedAndComesBackAtItsAddress(t *testing.T) {
	m := stocked(t)
	r := m.Regions[1]
	gone, fellow := r.Agents[1], r.Agents[0]
	addr, last := gone.EdgeAddr(), ""
	members := func(n int) func() bool {
		return func() bool {
			own := 0
			for _, a := range fellow.Members().Members {
				if a.Region == r.Name && a.State == "alive" {
					own++
				}
			}
			return own == n
		}
	}
	if err := m.Crash(gone.Name); err != nil {
		t.Fatal(err)
	}
	if err := m.Crash(gone.Name); err != nil {
		t.Errorf("crashed twice: %v", err)
	}
	eventually(t, "the fellow misses it", members(1), &last)
	deviceAt(t, m, m.Regions[0].Agents[0]).servedBy(t, "eu-2")
	if err := m.Restart(t.Context(), gone.Name); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the fellow sees it again", members(2), &last)
	if gone.EdgeAddr() != addr {
		t.Errorf("it came back at %s, not %s", gone.EdgeAddr(), addr)
	}
	deviceAt(t, m, gone).servedBy(t, "eu-2")
}

func TestFailedServiceFailsOverAndReturns(t *testing.T) {
	m := stocked(t)
	d := deviceAt(t, m, m.Regions[1].Agents[0])
	d.servedBy(t, "eu-2")
	if err := m.FailService("eu-2", "svc", true); err != nil {
		t.Fatal(err)
	}
	d.servedBy(t, "us-1")
	if err := m.FailService("eu-2", "svc", false); err != nil {
		t.Fatal(err)
	}
	d.servedBy(t, "eu-2")
}

func TestSlowServiceIsSlow(t *testing.T) {
	m := start(t, Config{Regions: 1, Agents: 1, Policy: []byte(svcPolicy), Services: []Service{{Name: "svc"}}})
	d := deviceAt(t, m, m.Regions[0].Agents[0])
	d.servedBy(t, "eu-1")
	if err := m.SlowService("eu-1", "svc", 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := d.put(t.Context()); err != nil || time.Since(began) < 300*time.Millisecond {
		t.Errorf("answered after %s: %v", time.Since(began), err)
	}
}

func inForce(m *Mesh) string {
	var ids []string
	for _, f := range m.Faults() {
		ids = append(ids, f.ID)
	}
	return strings.Join(ids, ",")
}

func TestInjectedFaultEndsByItself(t *testing.T) {
	m := stocked(t)
	d := deviceAt(t, m, m.Regions[1].Agents[0])
	d.servedBy(t, "eu-2")
	add := func(f admin.Fault) {
		t.Helper()
		if err := m.AddFault(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	add(admin.Fault{ID: "a", Kind: admin.FaultSlowService, Region: "eu-2", Service: "svc", Takes: "1500ms", Seconds: 0.3})
	add(admin.Fault{ID: "b", Kind: admin.FaultAgentCrash, Agent: "us-1-agent-2", Seconds: 0.3})
	add(admin.Fault{ID: "c", Kind: admin.FaultInstanceFailure, Region: "us-1", Service: "svc", Seconds: 60})
	last := ""
	eventually(t, "a and b are over", func() bool { last = inForce(m); return last == "c" }, &last)
	if m.Regions[2].Agents[1].Agent == nil {
		t.Error("the crashed agent was not started again")
	}
	began := time.Now()
	if _, err := d.put(t.Context()); err != nil || time.Since(began) > 1300*time.Millisecond {
		t.Errorf("the service is still slow: %s, %v", time.Since(began), err)
	}
	if left := m.Faults()[0].RemainingSeconds; left < 30 || left > 60 {
		t.Errorf("c has %g s left", left)
	}
}

func TestInjectedFaultCanBeRemoved(t *testing.T) {
	m := stocked(t)
	d := deviceAt(t, m, m.Regions[0].Agents[0])
	d.servedBy(t, "eu-2")
	for _, f := range []admin.Fault{
		{ID: "cut", Kind: admin.FaultRegionOutage, Region: "eu-2", Seconds: 60},
		{ID: "far", Kind: admin.FaultLatency, From: "eu-1", To: "us-1", Delay: "50ms", Seconds: 60},
	} {
		if err := m.AddFault(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	d.servedBy(t, "us-1")
	began := time.Now()
	if _, err := d.put(t.Context()); err != nil || time.Since(began) < 100*time.Millisecond {
		t.Errorf("50 ms each way took %s: %v", time.Since(began), err)
	}
	for _, id := range []string{"cut", "far"} {
		if err := m.RemoveFault(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	d.servedBy(t, "eu-2")
	if err := m.RemoveFault(t.Context(), "cut"); !errors.Is(err, admin.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

func TestFaultsThatMakeNoSenseChangeNothing(t *testing.T) {
	m := start(t, Config{Regions: 2, Agents: 1})
	hook := hooks{m, "eu-1-agent-1"}
	good := admin.Fault{ID: "x", Kind: admin.FaultInstanceFailure, Region: "eu-1", Service: "alarms", Seconds: 60}
	if err := hook.AddFault(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	with := func(change func(*admin.Fault)) admin.Fault {
		f := good
		f.ID = "y"
		change(&f)
		return f
	}
	for name, c := range map[string]struct {
		fault admin.Fault
		kind  error
	}{
		"id again":          {with(func(f *admin.Fault) { f.ID, f.Service = "x", "telemetry" }), admin.ErrConflict},
		"the same again":    {with(func(f *admin.Fault) { f.Seconds = 1 }), admin.ErrConflict},
		"no id":             {with(func(f *admin.Fault) { f.ID = "" }), policy.ErrInvalid},
		"no end":            {with(func(f *admin.Fault) { f.Seconds = 0 }), policy.ErrInvalid},
		"too long":          {with(func(f *admin.Fault) { f.Seconds = 3601 }), policy.ErrInvalid},
		"unknown kind":      {with(func(f *admin.Fault) { f.Kind = "flood" }), policy.ErrInvalid},
		"unknown region":    {with(func(f *admin.Fault) { f.Region = "eu-9" }), policy.ErrInvalid},
		"unknown service":   {with(func(f *admin.Fault) { f.Service = "nope" }), policy.ErrInvalid},
		"elsewhere only":    {with(func(f *admin.Fault) { f.Region, f.Service = "eu-2", "firmware" }), policy.ErrInvalid},
		"a field too many":  {with(func(f *admin.Fault) { f.Agent = "eu-1-agent-1" }), policy.ErrInvalid},
		"unknown agent":     {admin.Fault{ID: "y", Kind: admin.FaultAgentCrash, Agent: "nope", Seconds: 1}, policy.ErrInvalid},
		"crash of itself":   {admin.Fault{ID: "y", Kind: admin.FaultAgentCrash, Agent: "eu-1-agent-1", Seconds: 1}, policy.ErrInvalid},
		"latency to itself": {admin.Fault{ID: "y", Kind: admin.FaultLatency, From: "eu-1", To: "eu-1", Delay: "1ms", Seconds: 1}, policy.ErrInvalid},
		"latency too long":  {admin.Fault{ID: "y", Kind: admin.FaultLatency, From: "eu-1", To: "eu-2", Delay: "11s", Seconds: 1}, policy.ErrInvalid},
	} {
		if err := hook.AddFault(t.Context(), c.fault); !errors.Is(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := inForce(m); got != "x" {
		t.Errorf("in force: %s", got)
	}
	if err := m.Cut("nowhere"); !errors.Is(err, ErrConfig) {
		t.Errorf("cut nowhere: %v", err)
	}
	if err := m.Restart(context.Background(), "nobody"); !errors.Is(err, ErrConfig) {
		t.Errorf("restart nobody: %v", err)
	}
	_ = m.Close()
	if err := hook.AddFault(t.Context(), with(func(*admin.Fault) {})); !errors.Is(err, admin.ErrConflict) {
		t.Errorf("after Close: %v", err)
	}
}
