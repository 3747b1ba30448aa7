package gossip

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// crowd puts so many agents of a format, who are heard, beside those on stage.
func (s *stage) crowd(n int, format uint64) {
	for i := range n {
		name := fmt.Sprintf("agent-%d", i)
		peer := &poolPeer{alive: true, format: format, since: s.begun, meta: Meta{Name: name, Region: "eu-1"}}
		peer.node.Name = name
		s.book.lan[name] = peer
		s.hears(name, 0)
	}
}

// sent takes what is on its way out, by receiver.
func (s *stage) sent() map[string][][]byte {
	by := map[string][][]byte{}
	for _, out := range s.book.out {
		for _, p := range out.to {
			by[p.node.Name] = append(by[p.node.Name], out.frame)
		}
	}
	s.book.out = nil
	return by
}

var oneBundle = joinBundle([][]byte{{8, 1}, {8, 2}})

func TestABundleReachesEveryAgentOnceThroughRelays(t *testing.T) {
	f := newFleet(t)
	for _, n := range []int{relayAbove, 47, 200, 1000} {
		s := f.stage(t, "eu-1")
		s.crowd(n, formatRelay)
		s.spread(oneBundle, s.begun)
		got := map[string]int{}
		direct := s.sent()
		for name, bundles := range direct {
			got[name] += len(bundles)
			share, ok := shareOf(bundles[0])
			if !ok {
				continue
			}
			relay := f.stage(t, "eu-1")
			relay.crowd(n, formatRelay)
			delete(relay.book.lan, name) // that is this agent
			relay.cfg.Name = name
			relay.relay(arrival{pool: relay.lan, frame: oneBundle, share: share}, s.begun)
			for to, bundles := range relay.sent() {
				got[to] += len(bundles)
			}
		}
		for i := range n {
			if name := fmt.Sprintf("agent-%d", i); got[name] != 1 {
				t.Fatalf("%d agents: %s gets it %d times", n, name, got[name])
			}
		}
		if got["first"] != 1 || len(got) != n+1 {
			t.Errorf("%d agents: the other gateway gets it %d times, %d in all", n, got["first"], len(got))
		}
		if most := n/4 + 2; len(direct) > most {
			t.Errorf("%d agents: %d are sent to directly", n, len(direct))
		}
	}
}

func TestRelaysTakeTurns(t *testing.T) {
	s := newStage(t)
	s.crowd(40, formatRelay)
	seen := map[string]bool{}
	for range 60 {
		s.spread(oneBundle, s.begun)
		for name, bundles := range s.sent() {
			if _, ok := shareOf(bundles[0]); ok {
				seen[name] = true
			}
		}
	}
	if len(seen) < 38 { // a group may have one member
		t.Errorf("%d of 40 ever relay", len(seen))
	}
}

func TestWhoCannotRelayIsNotAskedTo(t *testing.T) {
	f := newFleet(t)
	old, silent, few := f.stage(t, "eu-1"), f.stage(t, "eu-1"), f.stage(t, "eu-1")
	old.crowd(40, formatDelta)
	silent.crowd(40, formatRelay)
	few.crowd(relayAbove-1, formatRelay)
	later := silent.begun.Add(2 * silent.cfg.Timing.LeadSilence)
	for what, c := range map[string]struct {
		s *stage
		n int
		t time.Time
	}{"agents of the version before": {old, 40, old.begun}, "agents that are not heard": {silent, 40, later}, "a small region": {few, relayAbove - 1, few.begun}} {
		c.s.spread(oneBundle, c.t)
		sent := c.s.sent()
		if len(sent) != c.n+1 {
			t.Errorf("%s: %d are sent to", what, len(sent))
		}
		for name, bundles := range sent {
			if !slices.EqualFunc(bundles, [][]byte{oneBundle}, bytes.Equal) {
				t.Errorf("%s: %s is sent %x", what, name, bundles)
			}
		}
	}
}

func TestWhatIsRelayedIsBounded(t *testing.T) {
	s := newStage(t)
	s.crowd(100, formatRelay)
	bundle := joinBundle([][]byte{bytes.Repeat([]byte{8}, 1000)})
	for range 1000 {
		s.relay(arrival{pool: s.lan, frame: bundle, share: share{1, 0}}, s.begun)
	}
	bytes := 0
	for _, out := range s.book.out {
		bytes += len(out.to) * len(out.frame)
	}
	if bytes == 0 || bytes > relayedBytes {
		t.Errorf("%d bytes are relayed at once", bytes)
	}
}

func TestAShareIsReadAsItWasWrittenAndLeavesTheFramesAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := share{groups: rapid.IntRange(1, maxGroups).Draw(t, "groups")}
		want.group = rapid.IntRange(0, want.groups-1).Draw(t, "group")
		bundle := want.appendTo(oneBundle)
		got, ok := shareOf(bundle)
		if !ok || got != want || !bytes.Equal(joinBundle(splitBundle(bundle)), oneBundle) {
			t.Fatalf("%v, %t", got, ok)
		}
	})
	for _, s := range []share{{0, 0}, {3, 3}, {maxGroups + 1, 0}} {
		if got, ok := shareOf(s.appendTo(oneBundle)); ok {
			t.Errorf("%v is taken for a share", got)
		}
	}
	if _, ok := shareOf(oneBundle); ok {
		t.Error("a bundle for everybody has a share")
	}
}

func TestWhatIsRelayedOrComesFromManyHasLessRoom(t *testing.T) {
	for _, c := range []struct {
		agents, regions int
		want            budget
	}{
		{5, 20, budget{205, 96}}, {16, 100, budget{205, 96}}, {17, 4, budget{205, 96}}, {50, 15, budget{116, 96}},
		{50, 20, budget{50, 50}}, {1000, 100, budget{40, 40}},
	} {
		if got := vectorBudget.relayedTo(c.agents, c.regions); got != c.want {
			t.Errorf("vector, %d agents, %d regions: %v", c.agents, c.regions, got)
		}
	}
	for agents, want := range map[int]budget{1: {240, 96}, 16: {240, 96}, 24: {160, 96}, 50: {76, 76}, 1000: {40, 40}} {
		if got := loadBudget.among(agents); got != want {
			t.Errorf("load, %d agents: %v", agents, got)
		}
	}
}
