package gossip

import (
	"testing"
	"time"
)

func TestAnAgentThatWordOfANewMemberPassedByLearnsOfItFromTheLead(t *testing.T) {
	f := newFleet(t)
	f.mod = func(c *Config) {
		c.Timing.LAN.PushPull = time.Hour // nothing else brings it
		c.Timing.LAN.SuspicionMult = 40   // nobody is found dead meanwhile
	}
	a := f.start("eu-1", "a", nil, nil)
	b := f.start("eu-1", "b", []string{f.addr("a/lan")}, nil)
	members := func(m *Mesh) int { return len(m.State().Members) }
	within(t, 5*time.Second, "both meet", func() bool { return members(a) == 2 && members(b) == 2 })
	within(t, 5*time.Second, "one of them leads", func() bool { return ready(a, "eu-1", "") >= 0 && ready(b, "eu-1", "") >= 0 })
	f.net.move("island", "a")
	c := f.start("eu-1", "c", []string{f.addr("b/lan")}, nil)
	within(t, 5*time.Second, "b and c meet", func() bool { return members(b) == 3 && members(c) == 3 })
	time.Sleep(500 * time.Millisecond) // memberlist does not say when it has told it often enough
	if members(a) != 2 {
		t.Fatalf("a has %d members while it is cut off", members(a))
	}
	f.net.move("", "a")
	within(t, 10*time.Second, "a knows c", func() bool { return members(a) == 3 })
}

func TestStatesAreExchangedOnceInAWhileAndOnlyForStrangers(t *testing.T) {
	timing, now := DefaultTiming(), time.Now()
	state := func(members, agents []string) *State {
		v := &Vector{}
		for _, name := range agents {
			v.Agents = append(v.Agents, AgentInfo{Name: name})
		}
		s := &State{Regions: map[string]RegionInfo{"eu-1": {Vector: v}}}
		for _, name := range members {
			s.Members = append(s.Members, Member{Meta: Meta{Name: name}})
		}
		return s
	}
	var s strangers
	fine, lacks := state([]string{"a", "b", "c"}, []string{"a", "b"}), state([]string{"a", "b"}, []string{"a", "b", "c"})
	for _, step := range []struct {
		after time.Duration
		state *State
		due   bool
	}{
		{0, fine, false}, {time.Second, lacks, false}, {2 * time.Second, lacks, false}, {3 * time.Second, lacks, true}, {4 * time.Second, lacks, false},
		{8 * time.Second, lacks, true}, {9 * time.Second, fine, false}, {14 * time.Second, lacks, false}, {16 * time.Second, lacks, true},
		{20 * time.Second, &State{}, false},
	} {
		if got := s.due(step.state, "eu-1", &timing, now.Add(step.after)); got != step.due {
			t.Errorf("after %s: %t", step.after, got)
		}
	}
}
