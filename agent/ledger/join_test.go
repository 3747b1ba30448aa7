package ledger

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// arrived are entries a millisecond after each other.
func arrived(ids ...string) (all []Entry) {
	for n, id := range ids {
		all = append(all, Entry{id, epoch.Add(time.Duration(n) * time.Millisecond)})
	}
	return all
}

func TestJoinTellsWhatBecameOfEach(t *testing.T) {
	sent := func(id string, number uint64, fate Fate) Sent { return Sent{id, "d alarms", number, "critical", fate} }
	one, two, three := sent("1", 1, Acknowledged), sent("2", 2, Acknowledged), sent("3", 3, Acknowledged)
	for name, c := range map[string]struct {
		sent     []Sent
		journals [][]Entry
		want     Counts
	}{
		"nothing":              {nil, nil, Counts{}},
		"all is well":          {[]Sent{one, two}, [][]Entry{arrived("1", "2")}, Counts{Sent: 2, Acknowledged: 2, Accepted: 2}},
		"in two places":        {[]Sent{one, two}, [][]Entry{arrived("1"), arrived("x", "2")}, Counts{Sent: 2, Acknowledged: 2, Accepted: 2}},
		"lost":                 {[]Sent{one, two}, [][]Entry{arrived("2")}, Counts{Sent: 2, Acknowledged: 2, Accepted: 1, Lost: 1}},
		"twice":                {[]Sent{one}, [][]Entry{arrived("1"), arrived("1", "1")}, Counts{Sent: 1, Acknowledged: 1, Accepted: 1, Duplicated: 1}},
		"overtaken":            {[]Sent{one, two, three}, [][]Entry{arrived("3", "1", "2")}, Counts{Sent: 3, Acknowledged: 3, Accepted: 3, Reordered: 2}},
		"again, late":          {[]Sent{one, two}, [][]Entry{arrived("1", "2", "1")}, Counts{Sent: 2, Acknowledged: 2, Accepted: 2, Duplicated: 1}},
		"refused":              {[]Sent{sent("1", 1, Refused)}, nil, Counts{Sent: 1, Refused: 1}},
		"accepted, not told":   {[]Sent{sent("1", 1, Unknown)}, [][]Entry{arrived("1")}, Counts{Sent: 1, Unknown: 1, Accepted: 1}},
		"neither":              {[]Sent{sent("1", 1, Unknown)}, nil, Counts{Sent: 1, Unknown: 1}},
		"of others":            {[]Sent{one}, [][]Entry{arrived("9", "1", "9")}, Counts{Sent: 1, Acknowledged: 1, Accepted: 1}},
		"not in another topic": {[]Sent{two, {"1", "d logs", 1, "critical", Acknowledged}}, [][]Entry{arrived("2", "1")}, Counts{Sent: 2, Acknowledged: 2, Accepted: 2}},
	} {
		l := Join(c.sent, c.journals)
		if l.Counts != c.want {
			t.Errorf("%s: %+v, want %+v", name, l.Counts, c.want)
		}
		if of := l.Classes["critical"]; len(c.sent) > 0 && *of != c.want {
			t.Errorf("%s: of the class %+v", name, *of)
		}
		if len(l.LostIDs) != c.want.Lost {
			t.Errorf("%s: lost are %q", name, l.LostIDs)
		}
	}
}

// A random history is counted as it was drawn: each message is acknowledged, refused
// or neither, accepted so many times, and lies in one of three streams whose order of
// arrival is drawn too.
func TestJoinCountsARandomHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sent []Sent
		var first []Sent // in the order of arrival
		var again []string
		want := map[string]*Counts{}
		for n := range rapid.IntRange(0, 60).Draw(t, "messages") {
			s := Sent{ID: fmt.Sprint("r/d/", n), Number: uint64(n), Fate: Fate(rapid.IntRange(0, 2).Draw(t, "fate")),
				Stream: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "stream"), Class: rapid.SampledFrom([]string{"bulk", "high"}).Draw(t, "class")}
			times := rapid.IntRange(0, 3).Draw(t, "times")
			sent = append(sent, s)
			if times > 0 {
				first = append(first, s)
			}
			for range times - 1 {
				again = append(again, s.ID)
			}
			if want[s.Class] == nil {
				want[s.Class] = &Counts{}
			}
			tally(want[s.Class], &s, times)
		}
		first = rapid.Permutation(first).Draw(t, "order")
		for n, late := range first {
			if slices.ContainsFunc(first[:n], func(s Sent) bool { return s.Stream == late.Stream && s.Number > late.Number }) {
				want[late.Class].Reordered++
			}
		}
		l := Join(rapid.Permutation(sent).Draw(t, "sent"), journals(t, first, again))
		var total Counts
		for class, c := range want {
			if got := l.Classes[class]; got == nil || *got != *c {
				t.Fatalf("class %s: %+v, want %+v", class, got, *c)
			}
			sum(&total, c)
		}
		if l.Counts != total || len(l.LostIDs) != min(total.Lost, maxLost) {
			t.Fatalf("%+v with %d named, want %+v", l.Counts, len(l.LostIDs), total)
		}
	})
}

// journals spreads first arrivals, a millisecond apart, and repetitions after them
// over three services.
func journals(t *rapid.T, first []Sent, again []string) [][]Entry {
	all := make([][]Entry, 3)
	place := 0
	add := func(id string) {
		at := rapid.IntRange(0, 2).Draw(t, "service")
		all[at] = append(all[at], Entry{id, epoch.Add(time.Duration(place) * time.Millisecond)})
		place++
	}
	for _, s := range first {
		add(s.ID)
	}
	for _, id := range again {
		add(id)
	}
	return all
}

func tally(c *Counts, s *Sent, times int) {
	c.Sent++
	switch s.Fate {
	case Acknowledged:
		c.Acknowledged++
		if times == 0 {
			c.Lost++
		}
	case Refused:
		c.Refused++
	case Unknown:
		c.Unknown++
	}
	c.Accepted += min(times, 1)
	if times > 1 {
		c.Duplicated++
	}
}

func sum(total, c *Counts) {
	total.Sent += c.Sent
	total.Acknowledged += c.Acknowledged
	total.Refused += c.Refused
	total.Unknown += c.Unknown
	total.Accepted += c.Accepted
	total.Lost += c.Lost
	total.Duplicated += c.Duplicated
	total.Reordered += c.Reordered
}
