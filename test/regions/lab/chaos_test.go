//go:build linux

package lab

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/tidegate/tidegate/test/chaos/schedule"
	"github.com/tidegate/tidegate/test/overload/judge"
)

func TestWhatChaosCannotDoIsRefused(t *testing.T) {
	for _, args := range [][]string{
		{"now"}, {"--for", "10s"}, {"--for", "25h"}, {"--rate", "0"}, {"--replay", "a", "--shrink", "b"}, {"--replay", "a", "--false-alarms"}, {"--within", "0s"},
	} {
		if _, err := parseChaos(args); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
	o, err := parseChaos([]string{"--seed", "7", "--for", "3m"})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := o.schedule(); err != nil || s.Seed != 7 || len(s.Events) == 0 {
		t.Errorf("%v, %v", &s, err)
	}
	o.replay = filepath.Join(t.TempDir(), "none")
	if _, err := o.schedule(); err == nil {
		t.Error("a schedule is read that is not there")
	}
}

// still is a mesh of which nothing runs.
func still() *mesh {
	m := &mesh{}
	for _, name := range regionNames {
		r := &region{name: name, mesh: m}
		for n := range agentsEach {
			r.agents = append(r.agents, &agent{name: name + "-a" + string(rune('1'+n)), region: r})
		}
		m.regions = append(m.regions, r)
	}
	return m
}

func playedFor(m *mesh, line string, from, until time.Time) *played {
	e, err := schedule.ParseEvent(world(), "0s for 1s "+line)
	if err != nil {
		panic(err)
	}
	p := &played{Event: e, from: from, until: until}
	if len(e.On) > 0 {
		p.agent = m.agent(e.On[0])
	}
	return p
}

func TestEdgesOfWhatIsHarmedAreNotJudgedAndOthersAre(t *testing.T) {
	m := still()
	began := time.Now()
	at := func(s float64) time.Time { return began.Add(time.Duration(s * float64(time.Second))) }
	c := &chaos{exercise: &exercise{mesh: m}, played: []*played{
		playedFor(m, "isolate eu-2", at(0), at(10)),
		playedFor(m, "pause-agent us-1-a1", at(20), at(25)),
		playedFor(m, "drain-agent us-1-a2", at(20), at(25)),
		playedFor(m, "kill-agent eu-1-a3", at(50), time.Time{}),
	}}
	for _, one := range []struct {
		agent  string
		due    float64
		took   time.Duration
		living bool
	}{
		{"eu-2-a1", -10, time.Second, true}, {"eu-2-a1", -1, 5 * time.Second, false}, {"eu-2-a1", 5, time.Second, false},
		{"eu-2-a3", 12, time.Second, false}, {"eu-2-a3", 17, time.Second, true}, {"eu-1-a1", 5, time.Second, true},
		{"us-1-a1", 22, time.Second, false}, {"us-1-a2", 22, time.Second, true}, {"us-1-a3", 22, time.Second, true},
		{"eu-1-a3", 49, time.Millisecond, true}, {"eu-1-a3", 99, time.Second, false},
	} {
		if got := c.living(&message{Agent: one.agent, Due: at(one.due), Took: one.took}); got != one.living {
			t.Errorf("%s at %g s, under way for %s: %t", one.agent, one.due, one.took, got)
		}
	}
}

func TestOnlyACutExcusesThatARegionIsGivenUp(t *testing.T) {
	m := still()
	began := time.Now()
	at := func(s float64) time.Time { return began.Add(time.Duration(s * float64(time.Second))) }
	c := &chaos{exercise: &exercise{mesh: m}, played: []*played{
		playedFor(m, "one-way eu-1 eu-2", at(0), at(10)), playedFor(m, "degrade eu-1 us-1 loss=20%", at(0), at(10)),
		playedFor(m, "pause-agent us-1-a1", at(0), at(10)), playedFor(m, "kill-region us-1", at(20), at(30)),
	}}
	for _, one := range []struct {
		by, about string
		at        float64
		reachable bool
	}{
		{"eu-1", "eu-2", 1, false}, {"eu-2", "eu-1", 1, false}, {"eu-1", "eu-2", 12, false}, {"eu-1", "eu-2", 14, true},
		{"eu-1", "us-1", 5, true}, {"eu-2", "us-1", 5, true}, {"eu-2", "us-1", 21, false}, {"us-1", "eu-1", 32, false}, {"eu-1", "eu-2", 21, true},
	} {
		if got := c.reachable(one.by, one.about, at(one.at), at(one.at), returnWithin); got != one.reachable {
			t.Errorf("%s and %s at %g s: %t", one.by, one.about, one.at, got)
		}
	}
}

func TestBarsAreTheSameWhateverTheEpisodeAndTheSamples(t *testing.T) {
	for a, b := range map[string]string{
		"episode 1: at living edges succeeded within 1 s, of 4000": "episode 12: at living edges succeeded within 1 s, of 17",
		"episode 1: acknowledged and lost, of 0":                   "all episodes: acknowledged and lost, of 100",
	} {
		if kindOfBar(judge.Bar{Bar: a}) != kindOfBar(judge.Bar{Bar: b}) {
			t.Errorf("%q is not %q", kindOfBar(judge.Bar{Bar: a}), kindOfBar(judge.Bar{Bar: b}))
		}
	}
}

func TestACutIsKnownWhenTheLastOneKnowsThatRan(t *testing.T) {
	m := still()
	began := time.Now()
	at := func(s float64) time.Time { return began.Add(time.Duration(s * float64(time.Second))) }
	a := &alarms{exercise: &exercise{mesh: m}, from: at(0), until: at(100), cuts: []cut{{"eu-2", at(10), at(20)}}}
	a.pulses = []pulse{{m.agent("us-1-a1"), at(10.2), at(10.9)}}
	var all []decision
	for n, name := range []string{"eu-1-a1", "eu-1-a2", "eu-1-a3", "us-1-a2", "us-1-a3"} {
		all = append(all, decision{at(10.5 + float64(n)/10), m.agent(name), "eu-2"})
	}
	all = append(all, decision{at(13), m.agent("us-1-a1"), "eu-2"}, decision{at(10.7), m.agent("eu-2-a1"), "eu-1"})
	if took, everybody := a.noticed(a.cuts[0], all); took != 900*time.Millisecond || !everybody {
		t.Errorf("%s, %t", took, everybody)
	}
	if took, everybody := a.noticed(a.cuts[0], all[1:]); took != 10*time.Second || everybody {
		t.Errorf("without one: %s, %t", took, everybody)
	}
	if n := a.falseOnes(all); n != 0 {
		t.Errorf("%d false ones", n)
	}
	all = append(all, decision{at(5), m.agent("eu-1-a1"), "eu-2"}, decision{at(12), m.agent("eu-1-a1"), "us-1"}, decision{at(24), m.agent("eu-1-a1"), "eu-2"}, decision{at(26), m.agent("eu-1-a1"), "eu-2"})
	if n := a.falseOnes(all); n != 3 {
		t.Errorf("%d false ones, want 3", n)
	}
}
