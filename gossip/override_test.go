package gossip

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

func orders(m *Mesh) map[string]Override {
	all := make(map[string]Override)
	for _, o := range m.State().Overrides {
		all[o.Region] = o
	}
	return all
}

// everywhere is whether all agents hold the same word on a region; "" for none.
func (f *fleet) everywhere(region, kind string) bool {
	for _, m := range f.meshes {
		if orders(m)[region].Kind != kind {
			return false
		}
	}
	return true
}

func (f *fleet) meet(regions map[string][]string) {
	f.t.Helper()
	f.regions(regions)
	within(f.t, 10*time.Second, "all gateways meet", func() bool {
		for _, m := range f.meshes {
			for region := range regions {
				if s := m.State(); s.Regions[region].Digest == nil || s.IsGateway && len(s.Regions[region].Peers) == 0 {
					return false
				}
			}
		}
		return true
	})
}

func TestOperatorsWordReachesEveryAgentAndIsReleased(t *testing.T) {
	f := newFleet(t)
	f.meet(map[string][]string{"eu-1": {"a", "b", "c", "d", "e"}, "us-1": {"x", "y"}})
	outsider := f.meshes["a"]
	for _, m := range f.meshes {
		if s := m.State(); m.cfg.Region == "eu-1" && !s.IsGateway {
			outsider = m
		}
	}
	order := Override{Region: "us-1", Kind: OverrideEvacuate, Reason: "wartung, für eine Stunde", Left: time.Hour}
	if err := outsider.Override(order); err != nil {
		t.Fatal(err)
	}
	within(t, 2*time.Second, "all know", func() bool { return f.everywhere("us-1", OverrideEvacuate) })
	o := orders(f.meshes["y"])["us-1"]
	if o.Reason != order.Reason || o.By != outsider.cfg.Name || o.Left <= 59*time.Minute || o.Left > time.Hour || time.Until(o.Expires) > time.Hour {
		t.Errorf("%+v", o)
	}
	if err := f.meshes["y"].Override(Override{Region: "us-1", Kind: OverridePin}); err != nil {
		t.Fatal(err)
	}
	within(t, 2*time.Second, "the last word wins", func() bool { return f.everywhere("us-1", OverridePin) })
	if err := outsider.Override(Override{Region: "us-1", Kind: OverrideRelease}); err != nil {
		t.Fatal(err)
	}
	within(t, 2*time.Second, "it is released", func() bool { return f.everywhere("us-1", "") })
}

func TestOperatorsWordOutlivesItsAgentAndReachesThoseWhoJoinLate(t *testing.T) {
	f := newFleet(t)
	f.meet(map[string][]string{"eu-1": {"a", "b"}, "us-1": {"x"}})
	lead := f.lead("eu-1")
	if err := lead.Override(Override{Region: "us-1", Kind: OverrideFreeze, Left: 2 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	within(t, 2*time.Second, "all know", func() bool { return f.everywhere("us-1", OverrideFreeze) })
	if err := lead.Close(); err != nil {
		t.Fatal(err)
	}
	delete(f.meshes, lead.cfg.Name)
	left := "a"
	if lead.cfg.Name == "a" {
		left = "b"
	}
	f.start("eu-1", "late", []string{f.addr(left + "/lan")}, nil)
	within(t, 8*time.Second, "who joins is told", func() bool { return f.everywhere("us-1", OverrideFreeze) })
	if o := orders(f.meshes["late"])["us-1"]; o.By != lead.cfg.Name || o.Left > 2*time.Hour {
		t.Errorf("%+v", o)
	}
}

func TestOperatorsWordIsInEveryStateExchange(t *testing.T) {
	f := newFleet(t)
	mod := f.mod
	s := f.stage(t, "eu-1")
	if err := s.Override(Override{Region: "us-1", Kind: OverridePin, Left: time.Hour}); err != nil {
		t.Fatal(err)
	}
	f.mod = mod
	m := f.start("us-1", "x", nil, nil)
	m.lan.MergeRemoteState(s.bundle(false), false)
	within(t, 2*time.Second, "who exchanges states knows it", func() bool { return orders(m)["us-1"].Kind == OverridePin })
}

func TestOperatorsWordOfEachSideOfACutWinsOnceByOrder(t *testing.T) {
	f := newFleet(t)
	f.meet(map[string][]string{"eu-1": {"a", "b"}, "us-1": {"x"}})
	say := func(agent, kind string) {
		t.Helper()
		if err := f.meshes[agent].Override(Override{Region: "us-1", Kind: kind}); err != nil {
			t.Fatal(err)
		}
	}
	say("a", OverrideEvacuate)
	within(t, 2*time.Second, "all know", func() bool { return f.everywhere("us-1", OverrideEvacuate) })
	f.net.move("island", "x")
	say("a", OverrideRelease)
	say("x", OverrideFreeze)
	say("x", OverridePin)
	within(t, 2*time.Second, "each side hears its own", func() bool {
		return orders(f.meshes["b"])["us-1"].Kind == "" && orders(f.meshes["x"])["us-1"].Kind == OverridePin
	})
	within(t, 8*time.Second, "both sides find the other dead", func() bool {
		return !f.meshes["a"].State().Regions["us-1"].Peers[0].Alive
	})
	f.net.move("", "x")
	within(t, 8*time.Second, "after the heal the one given last, by their clocks, holds everywhere", func() bool {
		return f.everywhere("us-1", OverridePin)
	})
	say("b", OverrideRelease)
	within(t, 2*time.Second, "one more word is newer than all", func() bool { return f.everywhere("us-1", "") })
}

func TestOperatorsWordRunsOutByTheTimeLeft(t *testing.T) {
	f := newFleet(t)
	f.meet(map[string][]string{"eu-1": {"a"}, "us-1": {"x"}})
	if err := f.meshes["a"].Override(Override{Region: "eu-1", Kind: OverrideEvacuate, Left: 700 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	within(t, 600*time.Millisecond, "it holds", func() bool { return f.everywhere("eu-1", OverrideEvacuate) })
	within(t, 2*time.Second, "it ran out", func() bool { return f.everywhere("eu-1", "") })
}

func TestPassingAWordOnDoesNotLengthenIt(t *testing.T) {
	v := newVictim(t)
	x := v.signer("us-1", "x")
	say := func(region string, age time.Duration) []byte {
		f := overrideFrame{Override{Region: region, Kind: OverridePin, Left: time.Hour, By: "x", Version: 7}, "us-1"}
		e, err := openEnvelope(withCert(x, kindOverride, f.encode()))
		if err != nil {
			t.Fatal(err)
		}
		e.age = age
		return e.encode()
	}
	v.mesh.deliver(v.mesh.lan, joinBundle([][]byte{say("old", 59*time.Minute), say("gone", time.Hour)}))
	within(t, 2*time.Second, "the old one is held", func() bool { return orders(v.mesh)["old"].Kind == OverridePin })
	if o := orders(v.mesh)["old"]; o.Left > time.Minute {
		t.Errorf("%s are left", o.Left)
	}
	if _, there := orders(v.mesh)["gone"]; there {
		t.Error("one that ran out on the way counts")
	}
	within(t, 2*time.Second, "the peer counts what both waited", func() bool {
		o, there := orders(v.peer)["old"]
		return there && o.Left <= time.Minute
	})
}

func TestForeignAndMalformedWordsAreRefusedAndCounted(t *testing.T) {
	v := newVictim(t)
	x := v.signer("us-1", "x")
	good := overrideFrame{Override{Region: "eu-1", Kind: OverridePin, By: "x", Version: 7}, "us-1"}
	with := func(change func(*overrideFrame)) []byte {
		f := good
		change(&f)
		return withCert(x, kindOverride, f.encode())
	}
	v.expectDrop(dropForeign, with(func(f *overrideFrame) { f.By = "peer" }))
	v.expectDrop(dropForeign, with(func(f *overrideFrame) { f.Home = "eu-1" }))
	v.expectDrop(dropMalformed, with(func(f *overrideFrame) { f.Kind = "explode" }))
	v.expectDrop(dropMalformed, with(func(f *overrideFrame) { f.Reason = "\x1b[2J" }))
	v.expectDrop(dropMalformed, with(func(f *overrideFrame) { f.Reason = "\xff" }))
	v.expectDrop(dropMalformed, with(func(f *overrideFrame) { f.Left = 2 * MaxOverrideLeft }))
	v.expectDrop(dropMalformed, with(func(f *overrideFrame) { f.Region = "" }))
	v.expectDrop(dropAbsurd, with(func(f *overrideFrame) { f.Version = maxOverrideVersion + 1 }))
	tampered, err := openEnvelope(with(func(*overrideFrame) {}))
	if err != nil {
		t.Fatal(err)
	}
	f := good
	f.Kind = OverrideEvacuate
	tampered.payload = f.encode()
	v.expectDrop(dropSignature, tampered.encode())
	if got := v.mesh.State().Overrides; len(got) != 0 {
		t.Errorf("believed: %+v", got)
	}
}

func TestWordsOfOperatorsAreBounded(t *testing.T) {
	s := newStage(t)
	say := func(region, kind string) error {
		s.book.out = nil
		return s.Override(Override{Region: region, Kind: kind})
	}
	for i := range MaxOverrides {
		if err := say(fmt.Sprintf("r-%d", i), OverridePin); err != nil {
			t.Fatal(err)
		}
	}
	if err := say("one-more", OverridePin); !errors.Is(err, ErrFrame) {
		t.Errorf("one region too many: %v", err)
	}
	if err := say("r-0", OverrideRelease); err != nil {
		t.Error(err)
	}
	if err := say("one-more", OverridePin); err != nil || len(s.book.overrides) != MaxOverrides {
		t.Errorf("the released one did not give way: %v, %d are held", err, len(s.book.overrides))
	}
	for name, o := range map[string]Override{
		"no region": {Kind: OverridePin}, "no kind": {Region: "r-1"}, "too long": {Region: "r-1", Kind: OverridePin, Left: MaxOverrideLeft + 1},
		"negative": {Region: "r-1", Kind: OverridePin, Left: -1}, "reason": {Region: "r-1", Kind: OverridePin, Reason: longest(MaxReason + 1)},
	} {
		if err := s.Override(o); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheLargestWordFitsADatagram(t *testing.T) {
	own, _ := testSigner(t)
	f := overrideFrame{Override{Region: longest(MaxRegionName), Kind: OverrideRelease, Reason: longest(MaxReason), Left: MaxOverrideLeft,
		By: longest(MaxAgentName), Version: maxOverrideVersion}, longest(MaxRegionName)}
	e, err := openEnvelope(own.seal(kindOverride, f.encode()))
	if err != nil {
		t.Fatal(err)
	}
	e.age = MaxOverrideLeft
	if size := len(e.encode()); size > maxDatagram {
		t.Errorf("%d bytes, at most %d are ever gossiped", size, maxDatagram)
	}
	got, err := decodeOverride(e.payload)
	if err != nil || *got != f {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestOfTwoWordsTheNewerIsKeptWhateverComesFirst(t *testing.T) {
	v := newVictim(t)
	say := func(agent string, version uint64, kind string) []byte {
		f := overrideFrame{Override{Region: "r", Kind: kind, By: agent, Version: version}, "us-1"}
		return withCert(v.signer("us-1", agent), kindOverride, f.encode())
	}
	v.mesh.deliver(v.mesh.lan, joinBundle([][]byte{
		say("m", 5, OverridePin), say("k", 5, OverrideEvacuate), say("z", 4, OverrideEvacuate), say("y", 5, OverrideFreeze),
	}))
	within(t, 2*time.Second, "of equal versions the last name wins", func() bool { return orders(v.mesh)["r"].By == "y" })
	throughout(t, 200*time.Millisecond, "it stays", func() bool { return orders(v.mesh)["r"].By == "y" })
	if err := v.mesh.Override(Override{Region: "r", Kind: OverrideRelease}); err != nil {
		t.Fatal(err)
	}
	v.mesh.deliver(v.mesh.lan, say("zz", 5, OverridePin))
	throughout(t, 300*time.Millisecond, "an older word does not come back after the release", func() bool {
		return !slices.ContainsFunc(v.mesh.State().Overrides, func(o Override) bool { return o.Region == "r" })
	})
}

func FuzzOverride(f *testing.F) {
	o := overrideFrame{Override{Region: "eu-1", Kind: OverrideEvacuate, Reason: "why", Left: time.Minute, By: "a", Version: 3}, "us-1"}
	f.Add(o.encode())
	f.Fuzz(func(t *testing.T, payload []byte) {
		o, err := decodeOverride(payload)
		if err != nil {
			return
		}
		again, err := decodeOverride(o.encode())
		if err != nil || *again != *o {
			t.Errorf("does not survive: %+v, %+v, %v", o, again, err)
		}
	})
}
