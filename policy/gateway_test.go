package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func drawNames(t *rapid.T) []string {
	return rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9.-]{1,12}`), 1, 20, rapid.ID).Draw(t, "names")
}

// The order is part of the mesh's protocol: neighbouring versions must agree.
func TestGatewayOrderNeverChanges(t *testing.T) {
	live := []string{"agent-1", "agent-2", "agent-3", "agent-4", "agent-5"}
	for region, want := range map[string]string{
		"eu-1": "[agent-2 agent-5 agent-4 agent-1 agent-3]",
		"us-1": "[agent-5 agent-1 agent-4 agent-3 agent-2]",
	} {
		if got := fmt.Sprint(Gateways(region, live, 5)); got != want {
			t.Errorf("%s: %s, want %s", region, got, want)
		}
	}
}

func TestGatewaysDoNotDependOnTheOrderOfMembers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := drawNames(t)
		k := rapid.IntRange(-1, 25).Draw(t, "k")
		want := Gateways("eu-1", names, k)
		mixed := append(slices.Clone(names), names[0])
		rand.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		if got := Gateways("eu-1", mixed, k); !slices.Equal(got, want) {
			t.Fatalf("%v, then %v", want, got)
		}
		if len(want) != max(0, min(k, len(names))) {
			t.Fatalf("%d of %d gateways for k = %d", len(want), len(names), k)
		}
	})
}

func TestAMemberThatLeavesMovesOnlyItsOwnPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := drawNames(t)
		gone := rapid.SampledFrom(names).Draw(t, "gone")
		before := Gateways("eu-1", names, len(names))
		after := Gateways("eu-1", without(names, gone), len(names))
		if !slices.Equal(after, without(before, gone)) {
			t.Fatalf("%v without %s becomes %v", before, gone, after)
		}
	})
}

func without(names []string, gone string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == gone })
}

func TestGatewaysLeaveTheirInputAlone(t *testing.T) {
	live := []string{"a", "b", "c", "d"}
	Gateways("eu-1", live, 2)
	ProbeTargets("x", live, 2)
	if !slices.Equal(live, []string{"a", "b", "c", "d"}) {
		t.Error(live)
	}
}

func TestRegionsOfEqualNamesHaveDifferentLeads(t *testing.T) {
	live := []string{"a-1", "a-2", "a-3", "a-4"}
	leads := map[string]int{}
	for i := range 400 {
		leads[Gateways(fmt.Sprint("region-", i), live, 1)[0]]++
	}
	for _, name := range live {
		if leads[name] < 60 || leads[name] > 140 {
			t.Errorf("leads of 400 regions: %v", leads)
		}
	}
}

func TestProbesAndTunnelsAreSpreadEvenly(t *testing.T) {
	var agents []Agent
	var names []string
	for i := range 10 {
		names = append(names, fmt.Sprint("remote-", i))
		agents = append(agents, Agent{Name: names[i]})
	}
	probed, tunnelled := map[string]int{}, map[string]int{}
	for i := range 1000 {
		self := fmt.Sprint("local-", i)
		for _, name := range ProbeTargets(self, names, 2) {
			probed[name]++
		}
		for _, a := range TunnelPeers(self, agents, 3) {
			tunnelled[a.Name]++
		}
	}
	for _, name := range names {
		if probed[name] < 150 || probed[name] > 250 || tunnelled[name] < 240 || tunnelled[name] > 360 {
			t.Errorf("%s: %d probes of 200, %d tunnels of 300", name, probed[name], tunnelled[name])
		}
	}
}

func TestTunnelsPreferAgentsThatStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var agents []Agent
		staying := 0
		for _, name := range drawNames(t) {
			a := Agent{Name: name, Draining: rapid.Bool().Draw(t, "drains")}
			agents = append(agents, a)
			if !a.Draining {
				staying++
			}
		}
		n := rapid.IntRange(0, 25).Draw(t, "n")
		got := TunnelPeers("me", agents, n)
		if len(got) != min(n, len(agents)) {
			t.Fatalf("%d peers of %d for n = %d", len(got), len(agents), n)
		}
		for i, a := range got {
			if a.Draining != (i >= staying) {
				t.Fatalf("%d stay, got %v", staying, got)
			}
		}
	})
}
