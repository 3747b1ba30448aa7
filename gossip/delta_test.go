package gossip

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"
)

// speaker makes the reports of another region's lead.
type speaker struct {
	v       *victim
	sign    *signer
	region  string
	version Version
	table   uint64
}

func (v *victim) speaker(region string) *speaker {
	return &speaker{v: v, sign: v.signer(region, "lead-of-"+region), region: region, version: Version{Term: 2}}
}

func (s *speaker) whole(targets map[string]TargetLoad) []byte {
	s.version.Seq++
	s.table = s.version.Seq
	return s.sign.seal(kindVector, encodeVector(&Vector{Region: s.region, Version: s.version, Targets: targets}))
}

func (s *speaker) delta(entries ...entry) []byte {
	d := deltaFrame{Region: s.region, Table: s.table, Previous: s.version.Seq, Entries: entries}
	s.version.Seq++
	d.Version = s.version
	return s.sign.seal(kindDelta, d.encode())
}

func ready(m *Mesh, region, target string) int {
	v := m.State().Regions[region].Vector
	if v == nil {
		return -1
	}
	return v.Targets[target].Ready
}

func twoTargets() map[string]TargetLoad {
	return map[string]TargetLoad{"alarms": {Ready: 1}, "bulk": {Ready: 1}}
}

func TestDeltasChangeTheVectorEverywhere(t *testing.T) {
	v := newVictim(t)
	us := v.speaker("us-1")
	if err := v.mesh.Offer(us.whole(twoTargets())); err != nil {
		t.Fatal(err)
	}
	within(t, 3*time.Second, "the whole vector is at the peer", func() bool { return ready(v.peer, "us-1", "bulk") == 1 })
	before := v.mesh.State().Regions["us-1"].Vector
	if err := v.mesh.Offer(us.delta(entry{0, TargetLoad{Ready: 7, Threshold: 600}})); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*Mesh{v.mesh, v.peer} {
		within(t, 3*time.Second, "the delta is", func() bool { return ready(m, "us-1", "alarms") == 7 && ready(m, "us-1", "bulk") == 1 })
		info := m.State().Regions["us-1"]
		if info.Vector.Version != us.version || info.Digest == nil || info.Digest.Version != us.version || info.Digest.Ready != 8 {
			t.Errorf("%s holds %+v and digest %+v", m.cfg.Name, info.Vector.Version, info.Digest)
		}
	}
	if before.Targets["alarms"].Ready != 1 {
		t.Error("a state that was handed out has changed")
	}
}

func TestDeltasMayComeInAnyOrderAndTwice(t *testing.T) {
	v := newVictim(t)
	us := v.speaker("us-1")
	frames := [][]byte{us.whole(twoTargets()), us.delta(entry{0, TargetLoad{Ready: 2}}, entry{1, TargetLoad{Ready: 2}}), us.delta(entry{0, TargetLoad{Ready: 3}}), us.delta()}
	for _, i := range []int{0, 3, 2, 1, 2, 0, 1} {
		if err := v.mesh.Offer(frames[i]); err != nil {
			t.Errorf("frame %d: %v", i, err)
		}
	}
	if a, b := ready(v.mesh, "us-1", "alarms"), ready(v.mesh, "us-1", "bulk"); a != 3 || b != 2 {
		t.Errorf("alarms %d, bulk %d: the newest word on each must count", a, b)
	}
	if got := v.mesh.State().Regions["us-1"].Vector.Version; got != us.version {
		t.Errorf("version %s, want %s", got, us.version)
	}
}

// The agent misses the whole vector, then a delta; its fellow gateway has both.
func TestWhatIsMissedIsAskedFor(t *testing.T) {
	v := newVictim(t)
	us := v.speaker("us-1")
	v.mesh.mu.Lock()
	v.mesh.book.lan["peer"].format = formatWhole // nothing is passed on to it
	v.mesh.mu.Unlock()
	whole := us.whole(twoTargets())
	frames := [][]byte{us.delta(entry{0, TargetLoad{Ready: 2}}), us.delta(entry{1, TargetLoad{Ready: 3}}), us.delta()}
	v.peer.deliver(v.peer.lan, withCertOf(us.sign, frames[0]))
	within(t, 3*time.Second, "the table is missed", func() bool { return v.dropped("peer", dropNoBase) > 0 })
	for _, frame := range append([][]byte{whole}, frames[:2]...) {
		if err := v.mesh.Offer(frame); err != nil {
			t.Fatal(err)
		}
	}
	within(t, 5*time.Second, "what it asked for came", func() bool {
		v.peer.deliver(v.peer.lan, withCertOf(us.sign, frames[0])) // gossip goes on
		return ready(v.peer, "us-1", "alarms") == 2
	})
	if err := v.mesh.Offer(frames[2]); err != nil {
		t.Fatal(err)
	}
	polls := 0
	within(t, 5*time.Second, "and what the gap held", func() bool {
		if polls++; polls%40 == 1 { // as often as a lead speaks, about
			v.peer.deliver(v.peer.lan, frames[2])
			frames[2] = us.delta()
		}
		return ready(v.peer, "us-1", "bulk") == 3
	})
}

func withCertOf(s *signer, frame []byte) []byte {
	e, err := openEnvelope(frame)
	if err != nil {
		panic(err)
	}
	e.cert = s.der
	return e.encode()
}

func TestForeignAndAbsurdDeltasAreRefusedAndCounted(t *testing.T) {
	v := newVictim(t)
	us := v.speaker("us-1")
	if err := v.mesh.Offer(us.whole(twoTargets())); err != nil {
		t.Fatal(err)
	}
	eu := v.speaker("eu-2")
	say := func(by *signer, d deltaFrame) []byte { return withCert(by, kindDelta, d.encode()) }
	next := deltaFrame{Region: "us-1", Version: Version{2, 9}, Table: us.table, Previous: 8}
	outside, backwards := next, next
	outside.Entries = []entry{{2, TargetLoad{}}}
	backwards.Previous = 9
	v.expectDrop(dropForeign, say(eu.sign, next))
	v.expectDrop(dropMalformed, say(us.sign, outside))
	v.expectDrop(dropMalformed, say(us.sign, backwards))
	huge := appendBlob(next.encode(), deltaEntries, []byte{0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	v.expectDrop(dropAbsurd, withCert(us.sign, kindDelta, huge))
	us.version.Seq = 20
	us.table = 20
	v.expectDrop(dropNoBase, withCertOf(us.sign, us.delta()))
	v.expectDrop(dropStale, say(us.sign, deltaFrame{Region: "us-1", Version: Version{1, 9}, Table: 3, Previous: 8}))
	if got := v.mesh.State().Regions["us-1"].Vector; got.Targets["alarms"].Ready != 1 || len(got.Targets) != 2 {
		t.Errorf("believed: %+v", got)
	}
}

func TestSinceGivesWhatFollowsAVersion(t *testing.T) {
	s := newStage(t)
	s.book.loads["self"] = &agentLoad{complete: true, arrived: s.begun.Add(time.Hour), load: Load{Targets: twoTargets()}}
	s.book.lead = lead{leading: true, version: Version{Term: 2}}
	var versions []Version
	for i := range keptDeltas + 10 {
		s.speak(s.begun.Add(time.Duration(i+1) * s.cfg.Timing.Delta))
		versions = append(versions, s.book.regions["eu-1"].vector.Version)
	}
	newest := versions[len(versions)-1]
	frames := func(have Version) int { return len(splitBundle(s.Since(have))) }
	if n := frames(newest); n != 0 {
		t.Errorf("%d frames for who has all", n)
	}
	if n := frames(versions[len(versions)-3]); n != 2 {
		t.Errorf("%d frames for who misses two", n)
	}
	for _, have := range []Version{{}, {Term: 1}, {Term: 9, Seq: 1}} {
		if n := frames(have); n != 1+keptDeltas {
			t.Errorf("%d frames for who has %s", n, have)
		}
	}
	if n := frames(versions[1]); n != keptDeltas {
		t.Errorf("%d frames for who was away for long: of the table it has, all that are kept", n)
	}
}

// What a receiver makes of a whole vector and as many deltas as are kept is what
// the lead told, though it heard none of those before.
func TestWhoeverComesLateHoldsAll(t *testing.T) {
	f := newFleet(t)
	s, late := f.stage(t, "eu-1"), f.stage(t, "us-1")
	targets := busyTargets(200)
	s.book.loads["self"] = &agentLoad{complete: true, arrived: s.begun.Add(time.Hour), load: Load{Targets: targets}}
	s.book.lead = lead{leading: true, version: Version{Term: 2}}
	for i := range 4 * keptDeltas {
		changed := maps.Clone(targets)
		for id, name := range slices.Sorted(maps.Keys(targets)) {
			if load := changed[name]; i < keptDeltas && id%3 == i%3 {
				load.Ready, load.Demand[1] = i%5, float64(i)
				changed[name] = load
			}
		}
		targets = changed
		s.book.loads["self"].load.Targets = targets
		s.speak(s.begun.Add(time.Duration(i+1) * s.cfg.Timing.Delta))
	}
	if err := late.Offer(s.Since(Version{})); err != nil {
		t.Fatal(err)
	}
	told := s.book.regions["eu-1"].vector.Targets
	held := late.book.regions["eu-1"].vector.Targets
	for name, load := range told {
		if held[name] != load && rounded(targets[name]) == load {
			t.Fatalf("%s: %+v is held, %+v was told", name, held[name], load)
		}
	}
}

func TestWantsPullsInTurnsAndOnce(t *testing.T) {
	s := newStage(t)
	mine, other := s.regionAtTurn(0), s.regionAtTurn(1)
	for _, name := range []string{mine, other} {
		s.book.regions[name].vector = &Vector{Region: name, Version: Version{3, 5}}
	}
	if s.Wants(mine, Version{3, 5}) || s.Wants(mine, Version{2, 99}) {
		t.Error("wants what is not newer")
	}
	if !s.Wants(mine, Version{3, 6}) {
		t.Error("the first in turn does not pull at once")
	}
	if s.Wants(mine, Version{3, 6}) {
		t.Error("the same is pulled from two")
	}
	if !s.Wants(mine, Version{3, 7}) {
		t.Error("what is newer still must not wait")
	}
	if s.Wants(other, Version{3, 6}) {
		t.Error("the second in turn does not wait for the first")
	}
	s.book.regions[other].missedSince = time.Now().Add(-2 * s.cfg.Timing.FanoutStep)
	if !s.Wants(other, Version{3, 6}) {
		t.Error("the second in turn does not stand in")
	}
	if !s.Wants("new", Version{1, 1}) {
		t.Error("nothing is known of a region and yet not wanted")
	}
}

func TestGatewaysShareTheRegions(t *testing.T) {
	s := newStage(t)
	s.book.gateways = []string{"a", "b", "self"}
	first := 0
	for i := range 19 {
		s.knownRegion(fmt.Sprintf("r-%d", i), s.begun)
	}
	for name := range s.book.regions {
		if s.turn(name) == 0 {
			first++
		}
	}
	if first < 6 || first > 7 {
		t.Errorf("one of three gateways carries %d of 19 regions", first)
	}
}

func TestLoadsSayWhatChangedAndTheWholeIsAskedFor(t *testing.T) {
	v := newVictim(t)
	targets := busyTargets(100)
	publish := func() {
		t.Helper()
		if err := v.peer.Publish(Load{Targets: maps.Clone(targets), PolicyVersion: "p"}); err != nil {
			t.Fatal(err)
		}
	}
	heldReady := func(name string) int {
		v.mesh.mu.Lock()
		defer v.mesh.mu.Unlock()
		if l := v.mesh.book.loads["peer"]; l != nil && l.complete {
			return l.load.Targets[name].Ready
		}
		return -1
	}
	publish()
	within(t, 3*time.Second, "the whole load arrives", func() bool { return heldReady("service-099") == 3 })
	load := targets["service-042"]
	load.Ready = 9
	targets["service-042"] = load
	publish()
	before := v.metric("victim", "tidegate_gossip_frames_received_total", "kind", "load")
	within(t, 3*time.Second, "the change arrives", func() bool { return heldReady("service-042") == 9 })
	if after := v.metric("victim", "tidegate_gossip_frames_received_total", "kind", "load"); after != before {
		t.Errorf("%v whole loads for one change", after-before)
	}
	v.mesh.mu.Lock()
	delete(v.mesh.book.loads, "peer")
	v.mesh.mu.Unlock()
	within(t, 3*time.Second, "who lost the whole load gets it again", func() bool { return heldReady("service-042") == 9 && heldReady("service-007") == 3 })
	delete(targets, "service-000")
	publish()
	within(t, 3*time.Second, "other targets make a whole load", func() bool { return heldReady("service-000") == 0 && heldReady("service-042") == 9 })
}

// An agent of the version before reads whole loads and vectors only, and says
// nothing of a format.
func TestAgentsOfTheVersionBeforeGetWholeReports(t *testing.T) {
	s := newStage(t)
	s.book.loads["self"] = &agentLoad{complete: true, arrived: s.begun.Add(time.Hour), load: Load{Targets: busyTargets(50)}}
	s.book.lead = lead{leading: true, version: Version{Term: 2}}
	wholes := func(from, to time.Duration) int {
		seen := make(map[Version]bool)
		for at := from; at < to; at += s.cfg.Timing.Tick {
			s.speak(s.begun.Add(at))
			seen[s.book.regions["eu-1"].base.version] = true
		}
		return len(seen)
	}
	if n := wholes(time.Second, 20*time.Second); n != 1 {
		t.Errorf("%d whole vectors among agents that read deltas", n)
	}
	old, err := decodeDigest(encodeDigest(&Digest{Region: "us-1", Version: Version{1, 1}}))
	if err != nil || old.format != formatWhole {
		t.Fatalf("%+v, %v", old, err)
	}
	us := s.knownRegion("us-1", s.begun)
	us.digest, us.digestArrived = old, s.begun.Add(20*time.Second)
	if n := wholes(20*time.Second, 30*time.Second); n < 8 {
		t.Errorf("%d whole vectors in 10 s for a region that reads nothing else", n)
	}
	s.book.lan["first"].format = formatWhole
	s.book.out = nil
	s.Publish(Load{Targets: busyTargets(3)})
	s.book.loadTold = loadTeller{}
	for i := range 3 {
		s.sendLoad(s.begun.Add(time.Hour + time.Duration(i)*time.Second))
	}
	for _, out := range s.book.out {
		if e, err := openEnvelope(out.frame); err != nil || e.kind != kindLoad {
			t.Errorf("a %s goes to an agent that reads whole loads: %v", e.kind, err)
		}
	}
}

func TestReportsAskedForAreForMembersAndBounded(t *testing.T) {
	v := newVictim(t)
	ask := func(from string) []byte {
		q := reportAsk{From: from, Region: "us-1"}
		return (&envelope{kind: kindReportAsk, payload: q.encode()}).encode()
	}
	v.expectDrop(dropStranger, ask("nobody"))
	v.expectDrop(dropStranger, ask("victim"))
	us := v.speaker("us-1")
	if err := v.mesh.Offer(us.whole(manyTargets(3_000))); err != nil {
		t.Fatal(err)
	}
	within(t, 3*time.Second, "a flood of asks is cut off", func() bool {
		v.mesh.deliver(v.mesh.lan, ask("peer"))
		return v.dropped("victim", dropRateExceeded) > 0
	})
	if err := v.mesh.Offer(joinBundle([][]byte{ask("peer")})); !errors.Is(err, ErrFrame) {
		t.Errorf("an ask by a probe: %v", err)
	}
}
