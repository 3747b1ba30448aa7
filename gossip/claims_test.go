package gossip

import (
	"slices"
	"testing"
	"time"
)

// declaringFleet is a region of five with its gateways settled.
func declaringFleet(t *testing.T, timing func(*Timing)) (*fleet, *Mesh) {
	t.Helper()
	f := newFleet(t)
	f.mod = func(c *Config) { timing(&c.Timing) }
	f.regions(map[string][]string{"eu-1": {"a", "b", "c", "d", "e"}})
	within(t, 10*time.Second, "three gateways among five", func() bool {
		n := 0
		for _, m := range f.meshes {
			if s := m.State(); s.IsGateway && len(s.Members) == 5 {
				n++
			}
		}
		return n == 3
	})
	return f, f.meshes[f.meshes["a"].State().Gateways[0]]
}

func (f *fleet) allHold(down ...string) func() bool {
	return func() bool {
		for _, m := range f.meshes {
			if !slices.Equal(m.State().Down, down) {
				return false
			}
		}
		return true
	}
}

func TestVerdictIsToldAtOnce(t *testing.T) {
	f, gateway := declaringFleet(t, func(t *Timing) { t.Verdict, t.VerdictExpiry = time.Minute, 2*time.Minute })
	gateway.Declare([]string{"us-1", "eu-2", "us-1"})
	within(t, 5*time.Second, "all hold both regions down", f.allHold("eu-2", "us-1"))
	if v := f.meshes["a"].State().Verdicts; len(v) != 1 || v[0].From != gateway.cfg.Name {
		t.Errorf("who said it: %+v", v)
	}
	gateway.Declare([]string{"eu-2"})
	within(t, 5*time.Second, "a change is told", f.allHold("eu-2"))
	gateway.Declare(nil)
	within(t, 5*time.Second, "and its end", f.allHold())
}

func TestVerdictIsRepeatedAndExpiresWithoutRepeats(t *testing.T) {
	const expiry = 1500 * time.Millisecond
	f, gateway := declaringFleet(t, func(t *Timing) { t.VerdictExpiry = expiry })
	gateway.Declare([]string{"us-1"})
	within(t, 5*time.Second, "all hold it down", f.allHold("us-1"))
	throughout(t, expiry+300*time.Millisecond, "the verdict is repeated", f.allHold("us-1"))
	if err := gateway.Close(); err != nil {
		t.Fatal(err)
	}
	delete(f.meshes, gateway.cfg.Name)
	within(t, 5*time.Second, "without repeats it is void", f.allHold())
}

func TestOpinionsGoToFellowGatewaysOnly(t *testing.T) {
	f := newFleet(t)
	f.regions(map[string][]string{"eu-1": {"a", "b", "c", "d"}})
	within(t, 8*time.Second, "three gateways among four", func() bool {
		n := 0
		for _, m := range f.meshes {
			if s := m.State(); s.IsGateway && len(s.Members) == 4 {
				n++
			}
		}
		return n == 3
	})
	gateways := f.meshes["a"].State().Gateways
	speaker := f.meshes[gateways[0]]
	speaker.Opine([]string{"us-1"})
	opinion := func(m *Mesh) []string {
		for _, o := range m.State().Opinions {
			if o.From == gateways[0] && time.Since(o.Arrived) < 500*time.Millisecond {
				return o.Regions
			}
		}
		return nil
	}
	within(t, 5*time.Second, "both fellows know", func() bool {
		return slices.Equal(opinion(f.meshes[gateways[1]]), []string{"us-1"}) && slices.Equal(opinion(f.meshes[gateways[2]]), []string{"us-1"})
	})
	for name, m := range f.meshes {
		if !slices.Contains(gateways, name) && len(m.State().Opinions) != 0 {
			t.Errorf("%s is no gateway and was told: %+v", name, m.State().Opinions)
		}
		if len(m.State().Down) != 0 {
			t.Errorf("%s takes an opinion for a verdict", name)
		}
	}
	speaker.Opine(nil)
	within(t, 5*time.Second, "fresh, and empty again", func() bool {
		o := f.meshes[gateways[1]].State().Opinions
		return len(o) == 1 && len(o[0].Regions) == 0
	})
}
