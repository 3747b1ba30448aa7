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
	f.mod = func(c *Config) {
		c.Timing.LAN = DevTiming().LAN // no false deaths on a busy machine
		timing(&c.Timing)
	}
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

// idleGateway is a gateway with one fellow that nobody runs: the test moves
// its clock.
func idleGateway(t *testing.T) (*Mesh, func(after time.Duration) []sending) {
	t.Helper()
	f := newFleet(t)
	m, err := New(f.config("eu-1", "a"))
	if err != nil {
		t.Fatal(err)
	}
	m.lan = &pool{name: poolLAN}
	m.book.lan["b"] = &poolPeer{alive: true}
	m.book.gateways, m.book.role.gateway = []string{"a", "b"}, true
	begun := time.Now()
	return m, func(after time.Duration) []sending {
		m.book.out = nil
		m.sendClaims(begun.Add(after))
		return m.book.out
	}
}

func TestVerdictIsToldAtOnceThenRepeated(t *testing.T) {
	m, at := idleGateway(t)
	if out := at(time.Hour); len(out) != 0 {
		t.Errorf("nothing was declared, %d frames are sent", len(out))
	}
	hour := 2 * time.Hour
	steps := []struct {
		declare []string
		after   time.Duration
		sent    int
	}{
		{[]string{"us-1"}, hour, 1},
		{[]string{"us-1"}, hour + time.Millisecond, 0},
		{[]string{"us-1"}, hour + m.cfg.Timing.Verdict, 1},
		{[]string{"us-1", "eu-2"}, hour + m.cfg.Timing.Verdict + time.Millisecond, 1},
		{nil, hour + m.cfg.Timing.Verdict + 2*time.Millisecond, 1},
	}
	for i, s := range steps {
		m.Declare(s.declare)
		if out := at(s.after); len(out) != s.sent {
			t.Errorf("step %d: %d frames", i, len(out))
		}
	}
	m.book.declared.changed, m.book.declared.sent = time.Now(), time.Time{}
	if out := at(m.cfg.Timing.VerdictExpiry / 2); len(out) != 1 {
		t.Errorf("an empty verdict is not repeated while the last one may be in force: %d", len(out))
	}
	m.book.declared.sent = time.Time{}
	if out := at(m.cfg.Timing.VerdictExpiry + time.Second); len(out) != 0 {
		t.Errorf("an empty verdict is repeated for ever: %d", len(out))
	}
}

func TestVerdictOfAFormerGatewayIsNotRepeated(t *testing.T) {
	m, at := idleGateway(t)
	m.Declare([]string{"us-1"})
	m.book.role.gateway = false
	if out := at(time.Hour); len(out) != 0 {
		t.Errorf("%d frames", len(out))
	}
	m.Declare([]string{"us-1"})
	m.book.role.gateway = true
	if out := at(2 * time.Hour); len(out) != 0 {
		t.Errorf("what was declared without the role is sent with it: %d frames", len(out))
	}
}

func TestVerdictIsRepeatedAndExpiresWithoutRepeats(t *testing.T) {
	const expiry = 1500 * time.Millisecond
	f, gateway := declaringFleet(t, func(t *Timing) { t.VerdictExpiry = expiry })
	gateway.Declare([]string{"us-1"})
	within(t, 5*time.Second, "all hold it down", f.allHold("us-1"))
	throughout(t, expiry+300*time.Millisecond, "the verdict is repeated", f.allHold("us-1"))
	if v := f.meshes["a"].State().Verdicts; len(v) != 1 || v[0].From != gateway.cfg.Name {
		t.Errorf("who said it: %+v", v)
	}
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
