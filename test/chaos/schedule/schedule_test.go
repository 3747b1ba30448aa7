package schedule

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var sample = Mesh{
	Regions: []string{"eu-1", "eu-2", "us-1"}, Agents: 3,
	Homes: map[string][]string{"alarms": {"eu-1", "eu-2", "us-1"}, "stock": {"eu-2", "us-1"}},
}

func drawSchedule(t *rapid.T) Schedule {
	seed := rapid.Uint64().Draw(t, "seed")
	lasts := time.Duration(rapid.IntRange(60, 3600).Draw(t, "seconds")) * time.Second
	return Generate(&sample, seed, lasts)
}

func TestEveryScheduleKeepsTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSchedule(t)
		if len(s.Events) == 0 {
			t.Fatal("nothing happens")
		}
		if err := sample.Check(s.Events); err != nil {
			t.Fatalf("%v in\n%s", err, &s)
		}
		last := First - Quiet
		for _, episode := range Episodes(s.Events) {
			if begin := episode[0].At; begin < last+Quiet {
				t.Fatalf("the episode at %s begins too soon after %s", begin, last)
			}
			if last = end(episode); last > s.Lasts {
				t.Fatalf("the episode ends at %s", last)
			}
		}
		for _, e := range s.Events {
			if k := kindOf(e.Fault); e.For < k.shortest || e.For > k.longest {
				t.Fatalf("%s takes too short or too long", &e)
			}
		}
	})
}

// TestAtEachMomentTheMeshCanServe asks without the rules' own arithmetic.
func TestAtEachMomentTheMeshCanServe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSchedule(t)
		for at := time.Duration(0); at < s.Lasts; at += 500 * time.Millisecond {
			harmed, lost := map[string]int{}, map[string]bool{}
			for _, e := range s.Events {
				if at < e.At || at >= e.End() {
					continue
				}
				switch e.Fault {
				case Isolate, KillRegion:
					lost[e.On[0]] = true
				case KillAgent, RestartAgent, PauseAgent, DrainAgent:
					harmed[sample.RegionOf(e.On[0])]++
				case KillLead, PauseLead:
					harmed[e.On[0]]++
				}
			}
			if len(lost) > 1 {
				t.Fatalf("%v are lost at %s", lost, at)
			}
			for region, n := range harmed {
				if lost[region] || n >= sample.Agents {
					t.Fatalf("%d agents are harmed in %s at %s, lost: %v", n, region, at, lost)
				}
			}
		}
	})
}

func TestTheSameSeedMakesTheSameSchedule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSchedule(t)
		again := Generate(&sample, s.Seed, s.Lasts)
		other := Generate(&sample, s.Seed+1, 10*time.Minute)
		if !reflect.DeepEqual(s, again) || s.ID() != again.ID() || s.ID() == other.ID() {
			t.Fatalf("%s\nand then\n%s", &s, &again)
		}
	})
}

func TestEveryFaultComes(t *testing.T) {
	seen := map[string]bool{}
	overlap := false
	for seed := range uint64(50) {
		s := Generate(&sample, seed, 20*time.Minute)
		for i, e := range s.Events {
			seen[e.Fault] = true
			overlap = overlap || i > 0 && e.At < s.Events[i-1].End()
		}
	}
	if len(seen) != len(kinds) || !overlap {
		t.Errorf("seen: %v, overlapping: %t", seen, overlap)
	}
}

func TestAScheduleIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSchedule(t)
		read, err := Parse(&sample, s.String())
		if err != nil || !reflect.DeepEqual(read, s) {
			t.Fatalf("%v:\n%s\nis read as\n%s", err, &s, &read)
		}
	})
}

func TestWhatMakesNoSenseIsNotRead(t *testing.T) {
	for _, text := range []string{
		"", "# nothing", "10s", "10s for 5s", "10s for 5s explode eu-1", "soon for 5s isolate eu-1", "10s for 0s isolate eu-1", "-1s for 5s isolate eu-1",
		"10s for 5s isolate", "10s for 5s isolate asia", "10s for 5s isolate eu-1 eu-2", "10s for 5s cut eu-1", "10s for 5s cut eu-1 eu-1",
		"10s for 5s degrade eu-1 eu-2", "10s for 5s cut eu-1 eu-2 loss=2%", "10s for 5s kill-agent eu-1", "10s for 5s kill-agent eu-1-a4", "10s for 5s isolate all",
		"60s for 5s pause-agent eu-1-a1\n10s for 5s pause-agent us-1-a1",                                                         // order
		"10s for 5s isolate eu-1\n12s for 5s isolate eu-2",                                                                       // two regions
		"10s for 5s isolate eu-1\n17s for 5s isolate eu-2",                                                                       // the first is hardly back
		"10s for 5s cut eu-1 eu-2\n11s for 5s degrade eu-1 us-1 loss=2%",                                                         // no good way to stock
		"10s for 5s kill-services eu-2\n11s for 5s cut eu-1 us-1",                                                                // the same
		"10s for 5s isolate us-1\n11s for 5s kill-services eu-2",                                                                 // no stock at all
		"10s for 5s pause-agent eu-1-a1\n11s for 5s kill-agent eu-1-a1",                                                          // twice the same
		"10s for 5s pause-agent eu-1-a1\n11s for 5s kill-lead eu-1",                                                              // perhaps the same
		"10s for 5s pause-agent eu-1-a1\n11s for 5s pause-agent eu-1-a2\n12s for 5s drain-agent eu-1-a3",                         // none is left
		"10s for 5s new-policy\n11s for 5s kill-consul eu-1",                                                                     // nowhere to write it
		"10s for 31s isolate eu-1",                                                                                               // too long
		"10s for 5s kill-consul eu-1\n11s for 5s kill-consul eu-2\n12s for 5s slow-services eu-1\n13s for 5s slow-services eu-2", // too many
	} {
		if s, err := Parse(&sample, text); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q is read as\n%s\n%v", text, &s, err)
		}
	}
}

func TestLessOfAScheduleBeginsSoonAndKeepsItsOverlaps(t *testing.T) {
	s, err := Parse(&sample, `
100s for 10s isolate eu-2
105s for 2s pause-agent eu-1-a1
200s for 5s kill-lead us-1
203s for 9s kill-consul eu-1`)
	if err != nil {
		t.Fatal(err)
	}
	less := s.Only(s.Events[1:])
	want := []string{"10s for 2s pause-agent eu-1-a1", "32s for 5s kill-lead us-1", "35s for 9s kill-consul eu-1"}
	var got []string
	for i := range less.Events {
		got = append(got, less.Events[i].String())
	}
	if !slices.Equal(got, want) || less.Lasts != 64*time.Second {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
}
