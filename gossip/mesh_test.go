package gossip

import (
	"slices"
	"testing"
	"time"
)

var threeRegions = map[string][]string{
	"eu-1": {"eu-1-a", "eu-1-b"},
	"eu-2": {"eu-2-a", "eu-2-b"},
	"us-1": {"us-1-a", "us-1-b"},
}

// probe carries vectors between regions, as the mesh probes do.
func (f *fleet) probe() {
	for _, from := range f.meshes {
		_, offered, frame := from.Vector()
		for _, to := range f.meshes {
			if frame == nil || to.cfg.Region == from.cfg.Region || !to.State().IsGateway || !to.Wants(from.cfg.Region, offered) {
				continue
			}
			var have Version
			if v := to.State().Regions[from.cfg.Region].Vector; v != nil {
				have = v.Version
			}
			_ = to.Offer(from.Since(have))
		}
	}
}

func knowsAll(m *Mesh, regions int) bool {
	s := m.State()
	if len(s.Regions) != regions {
		return false
	}
	for _, r := range s.Regions {
		if r.Digest == nil || r.Vector == nil {
			return false
		}
	}
	return true
}

func TestThreeRegionsLearnOfEachOther(t *testing.T) {
	f := newFleet(t)
	f.mod = func(c *Config) { c.Timing = DevTiming() }
	begun := time.Now()
	f.regions(threeRegions)
	for name, m := range f.meshes {
		load := Load{PolicyVersion: "abc123", Targets: map[string]TargetLoad{
			"telemetry": {Ready: 3, InFlight: 5}, "telemetry/canary": {Ready: 1, InFlight: 2},
		}}
		if err := m.Publish(load); err != nil {
			t.Fatal(name, err)
		}
	}
	within(t, 10*time.Second, "every agent knows every region", func() bool {
		f.probe()
		for _, m := range f.meshes {
			if !knowsAll(m, 3) {
				return false
			}
		}
		return true
	})
	t.Logf("up after %s", time.Since(begun))
	checkVector(t, f)
	checkRoles(t, f)
	if sent := f.metric("eu-1-a", "memberlist_udp_sent", "pool", "lan", "agent", "eu-1-a"); sent <= 0 {
		t.Errorf("memberlist reported %v bytes sent by eu-1-a on the LAN", sent)
	}
	if labels := f.metric("eu-1-a", "memberlist_udp_sent", sinkLabel, "1"); labels != -1 {
		t.Error("the routing label leaked into the metrics")
	}
	if other := f.metric("eu-1-a", "memberlist_udp_sent", "agent", "eu-1-b"); other != -1 {
		t.Error("memberlist's samples of eu-1-b went to eu-1-a's registry")
	}
}

func checkVector(t *testing.T, f *fleet) {
	t.Helper()
	want := TargetLoad{Ready: 3, InFlight: 10}
	within(t, 3*time.Second, "us-1-a knows what both agents of eu-1 said", func() bool {
		f.probe()
		v := f.meshes["us-1-a"].State().Regions["eu-1"].Vector
		return v.Targets["telemetry"] == want && v.PolicyVersion == "abc123" && len(v.Agents) == 2
	})
	v := f.meshes["us-1-a"].State().Regions["eu-1"].Vector
	if v.Targets["telemetry/canary"] != (TargetLoad{Ready: 1, InFlight: 4}) {
		t.Errorf("subset: %+v", v.Targets)
	}
	if a := v.Agents[1]; a.Name != "eu-1-b" || a.MeshAddr != "eu-1-b:7444" || a.EdgeAddr != "eu-1-b:7443" || a.Draining {
		t.Errorf("agent: %+v", a)
	}
	if d := f.meshes["us-1-a"].State().Regions["eu-1"].Digest; d.Agents != 2 || d.Group != "test" {
		t.Errorf("digest: %+v", d)
	}
}

func checkRoles(t *testing.T, f *fleet) {
	t.Helper()
	within(t, 3*time.Second, "both agents of each region see all six gateways", func() bool {
		for _, m := range f.meshes {
			for _, region := range []string{"eu-1", "eu-2", "us-1"} {
				if len(m.State().Regions[region].Peers) != 2 {
					return false
				}
			}
		}
		return true
	})
	within(t, 3*time.Second, "each region agrees on its gateways and has one lead", func() bool {
		for _, names := range threeRegions {
			if !agreeOnLead(f, names) {
				return false
			}
		}
		return true
	})
}

func agreeOnLead(f *fleet, names []string) bool {
	leads := 0
	for _, name := range names {
		s := f.meshes[name].State()
		if s.IsLead {
			leads++
		}
		if !s.IsGateway || len(s.Gateways) != 2 || s.Lead != f.meshes[names[0]].State().Lead {
			return false
		}
	}
	return leads == 1
}

func TestOnlyThreeAgentsOfARegionJoinTheWAN(t *testing.T) {
	f := newFleet(t)
	f.regions(map[string][]string{"eu-1": {"a", "b", "c", "d", "e"}})
	within(t, 8*time.Second, "three of five are gateways with a WAN pool", func() bool {
		open := 0
		for _, m := range f.meshes {
			s := m.State()
			if len(s.Members) != 5 || s.IsGateway != slices.Contains(s.Gateways, m.cfg.Name) || s.IsGateway != (m.WANAddr() != "") {
				return false
			}
			if s.IsGateway {
				open++
			}
		}
		return open == gatewayCount
	})
	first := f.meshes["a"].State().Gateways
	gone := f.meshes[first[1]]
	if err := gone.Leave(time.Second); err != nil {
		t.Fatal(err)
	}
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	delete(f.meshes, first[1])
	within(t, 5*time.Second, "another takes its place", func() bool {
		open := 0
		for _, m := range f.meshes {
			if m.State().IsGateway && m.WANAddr() != "" {
				open++
			}
		}
		return open == gatewayCount
	})
	f.start("eu-1", first[1], []string{f.addr(first[0] + "/lan")}, nil)
	within(t, 8*time.Second, "back again, the role returns and the stand-in closes its WAN pool", func() bool {
		for _, m := range f.meshes {
			if (m.WANAddr() != "") != slices.Contains(first, m.cfg.Name) {
				return false
			}
		}
		return true
	})
}

func TestDeadLeadIsReplacedInANewTerm(t *testing.T) {
	f := newFleet(t)
	f.regions(map[string][]string{"eu-1": {"a", "b", "c"}, "us-1": {"x"}})
	within(t, 8*time.Second, "eu-1 has a lead that us-1 hears", func() bool {
		r := f.meshes["x"].State().Regions["eu-1"]
		return f.lead("eu-1") != nil && r.Digest != nil && r.Digest.Agents == 3
	})
	old := f.lead("eu-1")
	before := f.meshes["x"].State().Regions["eu-1"].Digest.Version
	if err := old.Close(); err != nil { // without Leave: a crash
		t.Fatal(err)
	}
	delete(f.meshes, old.cfg.Name)
	died := time.Now()
	within(t, 5*time.Second, "us-1 hears a new lead of eu-1", func() bool {
		r := f.meshes["x"].State().Regions["eu-1"]
		return r.Digest.Version.Term > before.Term
	})
	t.Logf("replaced after %s", time.Since(died))
	got := f.meshes["x"].State().Regions["eu-1"].Digest
	if got.Version.Term != before.Term+1 {
		t.Errorf("term %d after %d", got.Version.Term, before.Term)
	}
	if next := f.lead("eu-1"); next == nil || next.State().Lead != next.cfg.Name {
		t.Errorf("the new lead does not know itself")
	}
}

// A region that restarted as a whole must not be ignored for its low terms.
func TestRestartedRegionTakesUpItsLastTerm(t *testing.T) {
	f := newFleet(t)
	f.regions(map[string][]string{"eu-1": {"a"}, "us-1": {"x"}})
	heard := func() Version {
		if d := f.meshes["x"].State().Regions["eu-1"].Digest; d != nil {
			return d.Version
		}
		return Version{}
	}
	within(t, 8*time.Second, "us-1 hears eu-1", func() bool { return heard().Seq > 3 })
	if err := f.meshes["a"].Close(); err != nil {
		t.Fatal(err)
	}
	before := heard()
	f.start("eu-1", "a", nil, []string{f.addr("x/wan")})
	within(t, 8*time.Second, "us-1 hears the restarted eu-1", func() bool { return heard().Term > before.Term })
}

func TestCutOffRegionRejoinsByItself(t *testing.T) {
	f := newFleet(t)
	f.regions(map[string][]string{"eu-1": {"a", "b"}, "us-1": {"x"}})
	alive := func(at, region string) int {
		n := 0
		for _, p := range f.meshes[at].State().Regions[region].Peers {
			if p.Alive {
				n++
			}
		}
		return n
	}
	within(t, 8*time.Second, "the regions meet", func() bool { return alive("x", "eu-1") == 2 && alive("a", "us-1") == 1 })
	f.net.move("island", "x")
	within(t, 8*time.Second, "both sides find the other dead", func() bool { return alive("x", "eu-1") == 0 && alive("a", "us-1") == 0 })
	if peers := f.meshes["x"].State().Regions["eu-1"].Peers; len(peers) != 2 {
		t.Errorf("dead gateways are forgotten, nothing could probe for their return: %+v", peers)
	}
	f.net.move("", "x")
	within(t, 8*time.Second, "they meet again", func() bool { return alive("x", "eu-1") == 2 && alive("a", "us-1") == 1 && alive("b", "us-1") == 1 })
}

func TestHalvesOfALANMeetAgain(t *testing.T) {
	f := newFleet(t)
	f.regions(map[string][]string{"eu-1": {"a", "b", "c", "d"}})
	members := func(n int) func() bool {
		return func() bool {
			for _, m := range f.meshes {
				if len(m.State().Members) != n {
					return false
				}
			}
			return true
		}
	}
	within(t, 8*time.Second, "all meet", members(4))
	f.net.move("island", "c", "d")
	within(t, 8*time.Second, "each half finds the other dead", members(2))
	f.net.move("", "c", "d")
	within(t, 8*time.Second, "the halves meet again", members(4))
	within(t, 8*time.Second, "one lead is left", func() bool {
		leads := 0
		for _, m := range f.meshes {
			if m.State().IsLead {
				leads++
			}
		}
		return leads == 1
	})
}

func TestRestartedAgentThatKnowsNobodyIsFound(t *testing.T) {
	f := newFleet(t)
	a := f.start("eu-1", "a", nil, nil)
	b := f.start("eu-1", "b", []string{f.addr("a/lan")}, nil)
	members := func(m *Mesh) int { return len(m.State().Members) }
	within(t, 5*time.Second, "both meet", func() bool { return members(a) == 2 && members(b) == 2 })
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	within(t, 5*time.Second, "a finds b dead", func() bool { return members(a) == 1 })
	back := f.start("eu-1", "b", nil, nil)
	within(t, 5*time.Second, "a finds b again", func() bool { return members(back) == 2 && members(a) == 2 })
}
