package policy

import (
	"testing"
	"time"
)

func TestSimSpillStaysInItsGroup(t *testing.T) {
	for _, c := range []struct {
		policy string
		beyond float64
	}{{simOne, 0}, {"service \"svc\" {\n  beyond_group = true\n}", 0.2}} {
		s := newSimSpill(t, 8, c.policy, 2, region("a", "eu", 0, 1000, 1500), region("b", "eu", 10, 1000, 500), region("x", "us", 5, 4000, 100))
		s.run(120 * time.Second)
		near(t, "to the near one of another group", s.share("a", "x"), c.beyond*(1.5-0.8-0.3)/1.5/0.2, 0.01)
		if c.beyond == 0 {
			near(t, "the rest is shed at home", s.use("a"), 1, 0.01)
		}
	}
}

func TestSimSpillGoesOnlyWhereTheServiceSays(t *testing.T) {
	s := newSimSpill(t, 9, "service \"svc\" {\n  failover = [\"c\", \"b\"]\n}", 2,
		region("a", "g", 0, 1000, 1100), region("b", "h", 5, 1000, 100), region("c", "i", 90, 1000, 700), region("d", "g", 1, 1000, 1))
	s.run(120 * time.Second)
	near(t, "the first listed, as far as it has room", s.share("a", "c"), 100.0/1100, 0.01)
	near(t, "the second", s.share("a", "b"), 200.0/1100, 0.01)
	near(t, "not listed", s.share("a", "d"), 0, 0)
	s = newSimSpill(t, 9, "service \"svc\" {\n  failover = \"none\"\n}", 2, region("a", "g", 0, 1000, 1500), region("b", "g", 5, 1000, 1))
	s.run(60 * time.Second)
	near(t, "no failover", s.share("a", "a"), 1, 0)
}

func TestSimSpillObeysOperators(t *testing.T) {
	s := threeRegions(t)
	s.region("a").demand, s.region("b").demand, s.region("c").demand = 900, 300, 300
	s.run(60 * time.Second)
	frozen := s.share("a", "b")
	s.overrides = map[string]Override{"a": {Region: "a", Kind: Freeze}}
	s.region("a").demand = 600
	s.run(60 * time.Second)
	near(t, "frozen", s.share("a", "b"), frozen, 0.001)
	s.kill("b")
	s.run(300 * time.Millisecond)
	for _, a := range s.region("a").agents {
		near(t, "frozen, but dead", a.view.Shares["svc"].Weight("b"), 0, 0)
	}

	s.overrides = map[string]Override{"a": {Region: "a", Kind: Pin}}
	s.region("a").demand = 1500
	s.run(60 * time.Second)
	near(t, "pinned", s.share("a", "a"), 1, 0)

	s.overrides = map[string]Override{"a": {Region: "a", Kind: Evacuate, Reason: "works"}}
	s.run(300 * time.Millisecond)
	for _, a := range s.region("a").agents {
		near(t, "evacuated, its own demand", a.view.Shares["svc"].Weight("a"), 0, 0)
	}
	near(t, "evacuated, to the one left", s.share("a", "c"), 1, 0)
	if got := s.region("c").agents[0].view.Shares["svc"].Expected; len(got) != 1 || got[0].From != "a" {
		t.Errorf("c expects %+v", got)
	}
}

func TestSimSpillGivesNothingToThePinnedAndTheEvacuated(t *testing.T) {
	s := newSimSpill(t, 11, simOne, 2, region("a", "g", 0, 1000, 1000), region("b", "g", 1, 1000, 100), region("c", "g", 2, 1000, 100), region("d", "g", 90, 1000, 100))
	s.overrides = map[string]Override{"b": {Region: "b", Kind: Pin}, "c": {Region: "c", Kind: Evacuate}}
	s.run(60 * time.Second)
	near(t, "to the pinned", s.share("a", "b"), 0, 0)
	near(t, "to the evacuated", s.share("a", "c"), 0, 0)
	near(t, "to the other", s.share("a", "d"), 0.2, 0.01)
	s.region("a").unready = true
	s.run(30 * time.Second)
	if s.share("a", "b") == 0 {
		t.Error("a pinned region does not help one that cannot serve at all")
	}
}

func TestSimSpillDrains(t *testing.T) {
	s := threeRegions(t)
	s.region("a").demand, s.region("b").demand, s.region("c").demand = 400, 300, 300
	s.run(30 * time.Second)
	s.region("a").draining = true
	s.run(2 * time.Second)
	near(t, "its own demand", s.share("a", "a"), 0, 0)
	near(t, "to the near one", s.share("a", "b"), 1, 0.001)
	if got := s.region("b").agents[0].view.Shares["svc"].Expected; len(got) != 1 || got[0].From != "a" {
		t.Errorf("b expects %+v", got)
	}
}
