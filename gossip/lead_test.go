package gossip

import (
	"fmt"
	"testing"
	"time"
)

// stage is an agent nobody runs, second gateway of eu-1 after "first"; the test
// moves its clock.
type stage struct {
	*Mesh
	t     *testing.T
	begun time.Time
}

func newStage(t *testing.T) *stage {
	t.Helper()
	return newFleet(t).stage(t, "eu-1")
}

func (f *fleet) stage(t *testing.T, region string) *stage {
	t.Helper()
	f.mod = func(c *Config) { c.Timing = DefaultTiming() }
	m, err := New(f.config(region, "self"))
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{Mesh: m, t: t, begun: time.Now()}
	m.lan = &pool{name: poolLAN}
	m.lan.queue = idleQueue()
	for _, name := range []string{"first", "self"} {
		peer := &poolPeer{alive: true, format: formatDelta, since: s.begun, meta: Meta{Name: name, Region: region, MeshAddr: name + ":1"}}
		peer.node.Name = name
		m.book.lan[name] = peer
		m.book.members = append(m.book.members, Member{Meta: peer.meta})
	}
	m.book.gateways = []string{"first", "self"}
	m.book.role = role{gateway: true, firstK: true, firstKSince: s.begun}
	return s
}

func (s *stage) leadsAt(after time.Duration) bool {
	s.takeLead(s.begun.Add(after))
	return s.book.lead.leading
}

func (s *stage) hears(agent string, after time.Duration) { s.book.heard[agent] = s.begun.Add(after) }

func TestSecondGatewayLeadsOnceTheFirstIsSilent(t *testing.T) {
	s := newStage(t)
	silence := s.cfg.Timing.LeadSilence
	s.knownRegion("eu-1", s.begun).digest = &Digest{Version: Version{Term: 7, Seq: 99}}
	s.hears("first", 10*time.Second)
	if s.leadsAt(10*time.Second + silence) {
		t.Error("leads while the first is heard")
	}
	if s.leadsAt(10*time.Second + silence + 1) {
		t.Error("leads without waiting for silence")
	}
	if !s.leadsAt(10*time.Second + 2*silence + 1) {
		t.Error("does not lead after silence")
	}
	if s.book.lead.version.Term != 8 {
		t.Errorf("term %d after 7", s.book.lead.version.Term)
	}
	s.hears("first", 13*time.Second)
	if s.leadsAt(13 * time.Second) {
		t.Error("leads on although the first is back")
	}
}

func TestLeadYieldsToANewerReportAndComesBackAbove(t *testing.T) {
	s := newStage(t)
	silence := s.cfg.Timing.LeadSilence
	s.leadsAt(10 * time.Second)
	if !s.leadsAt(10*time.Second + silence) {
		t.Fatal("does not lead")
	}
	now := s.begun.Add(20 * time.Second)
	s.knownRegion("eu-1", now).digest = &Digest{Version: Version{Term: 40, Seq: 1}}
	s.heardLead("first", now)
	if s.leadsAt(20*time.Second + silence - 1) {
		t.Error("speaks on against a newer report")
	}
	if !s.leadsAt(20*time.Second+silence) || s.book.lead.version.Term != 41 {
		t.Errorf("leading %t in term %d after 40", s.book.lead.leading, s.book.lead.version.Term)
	}
}

func TestOwnStallIsNotTakenForTheSilenceOfOthers(t *testing.T) {
	s := newStage(t)
	s.hears("first", time.Second)
	s.book.stalled = s.begun.Add(10 * time.Second)
	if s.silent("first", s.begun.Add(10*time.Second+s.cfg.Timing.LeadSilence)) {
		t.Error("the first is taken for silent, though this agent did not listen")
	}
	if !s.silent("first", s.begun.Add(10*time.Second+s.cfg.Timing.LeadSilence+1)) {
		t.Error("the first is not silent after a full second of listening")
	}
}

func TestSumsTakeTheMostReadyAndAllInFlightOfFreshLoads(t *testing.T) {
	s := newStage(t)
	now := s.begun
	load := func(ready, inFlight int, policy string, arrived time.Time) *agentLoad {
		return &agentLoad{complete: true, arrived: arrived, load: Load{
			PolicyVersion: policy,
			Targets:       map[string]TargetLoad{"alarms": {Ready: ready, InFlight: inFlight}, "alarms/canary": {Ready: 1, InFlight: inFlight}},
		}}
	}
	s.book.loads["self"] = load(3, 10, "new", now)
	s.book.loads["first"] = load(4, 5, "new", now)
	v := s.sumRegion(now)
	if v.Targets["alarms"] != (TargetLoad{Ready: 4, InFlight: 15}) || v.PolicyVersion != "new" || len(v.Agents) != 2 {
		t.Errorf("sum: %+v", v)
	}
	if d := summarize(v); d.Ready != 4 || d.InFlight != 15 || d.Agents != 2 {
		t.Errorf("a digest counts services, not their subsets again: %+v", d)
	}
	later := now.Add(s.cfg.Timing.LoadFresh + 1)
	s.book.loads["self"].arrived = later
	v = s.sumRegion(later)
	if v.Targets["alarms"] != (TargetLoad{Ready: 3, InFlight: 10}) || len(v.Agents) != 1 || v.Agents[0].Name != "self" {
		t.Errorf("an agent that fell silent still counts: %+v", v)
	}
}

func TestUnchangedVectorIsRepeatedSlowlyAChangedOneSentSoon(t *testing.T) {
	s := newStage(t)
	timing := &s.cfg.Timing
	s.book.loads["self"] = &agentLoad{complete: true, arrived: s.begun.Add(time.Hour)}
	s.book.lead = lead{leading: true, version: Version{Term: 1}}
	vectorAt := func(after time.Duration) Version {
		s.speak(s.begun.Add(after))
		return s.book.regions["eu-1"].vector.Version
	}
	first := vectorAt(time.Second)
	if again := vectorAt(time.Second + timing.VectorChange); again != first {
		t.Error("an unchanged vector is sent again at once")
	}
	s.book.loads["self"].load.Targets = map[string]TargetLoad{"alarms": {Ready: 1, InFlight: 1}}
	changed := vectorAt(time.Second + 2*timing.VectorChange)
	if changed.Compare(first) <= 0 {
		t.Error("a changed vector is not sent")
	}
	if repeat := vectorAt(time.Second + 2*timing.VectorChange + timing.VectorRepeat); repeat.Compare(changed) <= 0 {
		t.Error("an unchanged vector is never repeated")
	}
}

// regionAtTurn names a region whose reports this agent carries as the n-th.
func (s *stage) regionAtTurn(n int) string {
	for i := range gatewayCount {
		name := fmt.Sprintf("us-%d", i)
		if s.knownRegion(name, s.begun); s.turn(name) == n {
			return name
		}
	}
	s.t.Fatalf("no region has turn %d", n)
	return ""
}

func TestSecondInTurnKeepsQuietWhenTheFirstPassedAVectorOn(t *testing.T) {
	s := newStage(t)
	us, _ := testSigner(t)
	adopt := func(name string, seq uint64, after time.Duration) *region {
		v := &Vector{Region: name, Version: Version{1, seq}}
		e, err := openEnvelope(us.seal(kindVector, encodeVector(v)))
		if err != nil {
			t.Fatal(err)
		}
		now := s.begun.Add(after)
		r := s.knownRegion(name, now)
		s.adoptVector(r, v, &e, arrival{}, "x", now) // from a probe
		return r
	}
	sentAt := func(after time.Duration) int {
		s.book.out = nil
		s.fanOut(s.begun.Add(after))
		return len(s.book.out)
	}
	second := s.regionAtTurn(1)
	adopt(second, 1, 0)
	if sentAt(s.cfg.Timing.FanoutStep-1) != 0 {
		t.Error("the second gateway does not wait for the first")
	}
	if sentAt(s.cfg.Timing.FanoutStep) != 1 {
		t.Error("the second gateway does not stand in for the first")
	}
	s.fanoutSeen(adopt(second, 2, time.Minute))
	if sentAt(2*time.Minute) != 0 {
		t.Error("the second gateway repeats what the first sent")
	}
	adopt(s.regionAtTurn(0), 3, time.Hour)
	if sentAt(time.Hour) != 1 {
		t.Error("the first gateway waits")
	}
}

func TestWhoLedByItselfForAMomentHearsTheLeadAgain(t *testing.T) {
	f := newFleet(t)
	f.mod = func(c *Config) {
		c.Timing.LAN.PushPull = time.Hour // nothing else brings the later term
		c.Timing.LAN.SuspicionMult = 40   // nobody is found dead, which would
	}
	f.regions(map[string][]string{"eu-1": {"a", "b", "c"}})
	all := func(of func(*State) bool) func() bool {
		return func() bool {
			for _, m := range f.meshes {
				if !of(m.State()) {
					return false
				}
			}
			return true
		}
	}
	within(t, 5*time.Second, "all have their region's report", all(func(s *State) bool {
		return len(s.Members) == 3 && s.Regions["eu-1"].Vector != nil
	}))
	lead := f.meshes["a"].State().Lead
	other := f.meshes["a"].State().Gateways[2]
	f.net.move("island", other)
	within(t, 5*time.Second, other+" leads by itself", func() bool { return f.meshes[other].State().IsLead })
	f.net.move("", other)
	within(t, 5*time.Second, "all follow one again", func() bool {
		newest := f.meshes[lead].State()
		return newest.IsLead && all(func(s *State) bool {
			v := s.Regions["eu-1"].Vector
			return v.Version.Term == newest.Term && len(v.Agents) == 3
		})()
	})
}

func TestGatewaysThatSpeakInAnEarlierTermAreToldOnceInAWhile(t *testing.T) {
	s := newStage(t)
	for _, name := range []string{"eu-1", "us-1"} {
		r := s.knownRegion(name, s.begun)
		r.digest, r.digestFrame, r.digestArrived = &Digest{Version: Version{Term: 2, Seq: 5}}, []byte("newest of "+name), s.begun
	}
	for _, c := range []struct {
		what    string
		region  string
		heard   Version
		after   time.Duration
		gateway bool
		told    bool
	}{
		{"an earlier term", "eu-1", Version{1, 99}, 0, true, true},
		{"again soon", "eu-1", Version{1, 100}, 100 * time.Millisecond, true, false},
		{"again later", "eu-1", Version{1, 101}, 600 * time.Millisecond, true, true},
		{"no gateway", "eu-1", Version{1, 102}, 2 * time.Second, false, false},
		{"the same term", "eu-1", Version{2, 4}, 4 * time.Second, true, false},
		{"another region's", "us-1", Version{1, 99}, 6 * time.Second, true, false},
	} {
		r := s.book.regions[c.region]
		s.book.role.gateway = c.gateway
		if fresh, err := s.newsOf(r, c.heard, r.digest.Version, s.begun, s.begun.Add(c.after)); fresh || err == nil {
			t.Errorf("%s: fresh %t, %v", c.what, fresh, err)
		}
		sent := s.sent()
		if told := len(sent["first"]) == 1 && string(sent["first"][0]) == "newest of eu-1"; told != c.told || !told && len(sent) > 0 {
			t.Errorf("%s: sent %q", c.what, sent)
		}
	}
}
