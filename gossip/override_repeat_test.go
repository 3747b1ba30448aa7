package gossip

import (
	"fmt"
	"testing"
	"time"
)

func TestOperatorsWordIsRepeatedToWhomALinkFailedTooShortlyToBeNoticed(t *testing.T) {
	f := newFleet(t)
	f.mod = func(c *Config) { c.Timing.LAN.PushPull, c.Timing.WAN.PushPull = time.Hour, time.Hour }
	f.meet(map[string][]string{"eu-1": {"a", "b"}, "us-1": {"x", "y"}, "ap-1": {"p"}})
	for region, missing := range map[string]string{"us-1": "y", "ap-1": "p"} {
		f.net.move("island", missing)
		if err := f.meshes["a"].Override(Override{Region: region, Kind: OverridePin}); err != nil {
			t.Fatal(err)
		}
		throughout(t, 400*time.Millisecond, "the cut holds", func() bool { return orders(f.meshes[missing])[region].Kind == "" })
		f.net.move("", missing)
		within(t, 2*time.Second, missing+" is told", func() bool { return f.everywhere(region, OverridePin) })
	}
}

func TestAWordThatOnlyANewerAgentUnderstandsIsPassedOn(t *testing.T) {
	v := newVictim(t)
	f := overrideFrame{Override{Region: "r", Kind: newerKind + "9", By: "x", Version: 7}, "us-1"}
	v.mesh.deliver(v.mesh.lan, withCert(v.signer("us-1", "x"), kindOverride, f.encode()))
	for _, m := range []*Mesh{v.mesh, v.peer} {
		within(t, 2*time.Second, m.cfg.Name+" holds it", func() bool { return orders(m)["r"].Kind == "kind-9" })
	}
	if err := v.mesh.Override(Override{Region: "r", Kind: newerKind + "9"}); err == nil {
		t.Error("nobody here can mean it")
	}
}

// sentIn is how many frames a round of repetition sends.
func (s *stage) sentIn(now time.Time) int {
	s.book.out, s.book.overridesRepeated = nil, time.Time{}
	s.repeatOverrides(now)
	n := 0
	for _, sent := range s.book.out {
		n += len(sent.to)
	}
	return n
}

func TestRepetitionOfOperatorsWordsIsBounded(t *testing.T) {
	s := newStage(t)
	for i := range 100 {
		name := fmt.Sprintf("agent-%d", i)
		s.book.lan[name] = &poolPeer{alive: true, meta: Meta{Name: name, Region: "eu-1"}}
	}
	for i := range MaxOverrides {
		if err := s.Override(Override{Region: fmt.Sprintf("r-%d", i), Kind: OverridePin}); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.sentIn(time.Now()); n != overrideSendings {
		t.Errorf("%d frames in a round, expected %d", n, overrideSendings)
	}
	s.book.out = nil
	if s.repeatOverrides(s.book.overridesRepeated.Add(overrideRepeat / 2)); s.book.out != nil {
		t.Error("repeated again too soon")
	}
}

func TestWhoRepeatsAnOperatorsWordAndForHowLong(t *testing.T) {
	s := newStage(t)
	say := func(o Override) {
		t.Helper()
		if err := s.Override(o); err != nil {
			t.Fatal(err)
		}
	}
	say(Override{Region: "r", Kind: OverridePin})
	now := time.Now()
	if n := s.sentIn(now.Add(24 * time.Hour)); n != 1 {
		t.Errorf("a gateway told its fellow %d times after a day", n)
	}
	s.book.role.gateway = false
	if s.sentIn(now) != 1 || s.sentIn(now.Add(overrideAuthor+time.Second)) != 0 {
		t.Error("who took it is to repeat it for a while even when it is no gateway")
	}
	s.book.overrides["r"].By = "first"
	if s.sentIn(now) != 0 {
		t.Error("another's word was repeated by an agent that is no gateway")
	}
	s.book.role.gateway = true
	say(Override{Region: "r", Kind: OverrideRelease})
	if s.sentIn(now.Add(overrideRemind/2)) != 1 || s.sentIn(now.Add(overrideRemind+time.Minute)) != 0 {
		t.Error("a release is to be repeated for a while")
	}
	say(Override{Region: "r", Kind: OverridePin, Left: time.Hour})
	s.expireOverrides(now.Add(time.Hour + time.Minute))
	if s.sentIn(now.Add(time.Hour+time.Minute)) != 1 || s.sentIn(now.Add(time.Hour+2*overrideRemind)) != 0 {
		t.Error("one that ran out is to be repeated for a while")
	}
}
