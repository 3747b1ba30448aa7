package presence

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func claim(epoch uint64, age time.Duration, connected bool) Claim {
	return Claim{Client: "c", Protocol: "mqtt", Epoch: epoch, Connected: connected, AgeMS: age.Milliseconds(), Mark: 7}
}

func TestTheNewestConnectionWins(t *testing.T) {
	for _, c := range []struct {
		name          string
		first, second Claim // of agents a and b
		winner        string
	}{
		{"the later one", claim(0, time.Second, true), claim(0, 0, true), "b"},
		{"the later one, claimed first", claim(0, 0, true), claim(0, time.Second, true), "a"},
		{"the device's own count", claim(9, time.Minute, true), claim(8, 0, true), "a"},
		{"one without a count, later", claim(9, time.Minute, true), claim(0, 0, true), "b"},
		{"a connection after another that went", claim(0, time.Minute, false), claim(0, 0, true), "b"},
		{"a later one that went", claim(0, 0, false), claim(0, time.Minute, true), "a"},
		{"both at once: by name", claim(0, 0, true), claim(0, 0, true), "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b Book
			b.Enter("a", Claims{"d", []Claim{c.first}}, now)
			lost := b.Enter("b", Claims{"d", []Claim{c.second}}, now)
			loser := map[string]string{"a": "b", "b": "a"}[c.winner]
			if len(lost) != 1 || !slices.Equal(lost[loser], []Loss{{"d", "c", "mqtt", 7}}) {
				t.Errorf("lost %v", lost)
			}
			if places := b.Find("d", now); len(places) != 1 || places[0].Agent != c.winner {
				t.Errorf("places %+v", places)
			}
		})
	}
}

func TestSessionsOfOtherClientsAndProtocolsStay(t *testing.T) {
	var b Book
	b.Enter("a", Claims{"d", []Claim{{Client: "x", Protocol: "mqtt", AgeMS: 5000}, {Client: "y", Protocol: "mqtt", Connected: true, AgeMS: 3000}}}, now)
	if lost := b.Enter("b", Claims{"d", []Claim{{Client: "x", Protocol: "http", Connected: true, AgeMS: 4000}}}, now); lost != nil {
		t.Errorf("lost %v", lost)
	}
	var order []string
	for _, p := range b.Find("d", now.Add(time.Second)) {
		order = append(order, fmt.Sprint(p.Agent, p.Client, p.AgeMS))
	}
	if want := []string{"ay4000", "bx5000", "ax6000"}; !slices.Equal(order, want) {
		t.Errorf("places %v, want %v", order, want)
	}
}

func TestWhatAgentsClaimedIsForgottenWithThem(t *testing.T) {
	var b Book
	b.Enter("a", Claims{"d", []Claim{claim(0, 0, true)}}, now)
	b.Enter("b", Claims{"e", []Claim{claim(0, 0, true)}}, now)
	b.Keep([]string{"b"})
	if b.Find("d", now) == nil || len(b.Find("d", now)) > 0 || len(b.Find("e", now)) != 1 || b.Len() != 1 {
		t.Errorf("d %v, e %v", b.Find("d", now), b.Find("e", now))
	}
	b.Enter("b", Claims{Device: "e"}, now)
	if b.Len() != 0 {
		t.Error("a device without sessions is kept")
	}
}

// However claims arrive, one agent has each session in the end, and the others
// were told to end theirs.
func TestWhoeverHasASessionIsTheOnlyOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b Book
		held := map[string]map[string]bool{} // agent, client
		for range rapid.IntRange(1, 30).Draw(t, "claims") {
			agent := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "agent")
			client := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "client")
			if held[agent] == nil {
				held[agent] = map[string]bool{}
			}
			held[agent][client] = true
			var all []Claim
			for c := range held[agent] {
				all = append(all, Claim{Client: c, Epoch: rapid.Uint64Range(0, 3).Draw(t, "epoch"), AgeMS: rapid.Int64Range(0, 3).Draw(t, "age")})
			}
			for loser, losses := range b.Enter(agent, Claims{"d", all}, now) {
				for _, l := range losses {
					delete(held[loser], l.Client)
				}
			}
			holders := map[string]int{}
			for _, clients := range held {
				for c := range clients {
					holders[c]++
				}
			}
			for c, n := range holders {
				if n != 1 {
					t.Fatalf("%d agents have session %s", n, c)
				}
			}
			if len(b.Find("d", now)) != len(holders) {
				t.Fatalf("the home knows %v", b.Find("d", now))
			}
		}
	})
}
