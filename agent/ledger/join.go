package ledger

import (
	"cmp"
	"slices"
)

// Fate is what a device was told about a message.
type Fate uint8

// The fates.
const (
	Unknown      Fate = iota // no answer, or that something failed
	Acknowledged             // 2xx, PUBACK
	Refused                  // for now
)

// Sent is a message as its device knows it.
type Sent struct {
	ID     string
	Stream string // its device and topic: order is told within one
	Number uint64 // rises with every message of the stream
	Class  string
	Fate   Fate
}

// Counts are messages, each once.
type Counts struct {
	Sent         int `json:"sent"`
	Acknowledged int `json:"acknowledged"`
	Refused      int `json:"refused"` // for now
	Unknown      int `json:"unknown"` // neither
	Accepted     int `json:"accepted"`
	Lost         int `json:"lost"`       // acknowledged, and no service accepted it
	Duplicated   int `json:"duplicated"` // accepted more than once
	Reordered    int `json:"reordered"`  // first accepted after a later one of its stream
}

// Ledger is what became of messages.
type Ledger struct {
	Counts
	Classes map[string]*Counts `json:"classes"`
	LostIDs []string           `json:"lost_ids,omitempty"` // the first ones
}

// maxLost bounds how many lost messages are named.
const maxLost = 20

// Join compares what was sent with what was accepted. Entries of messages that are
// not among those sent do not count. Journals of services that share a stream are put
// in order by the clocks of the services.
func Join(sent []Sent, journals [][]Entry) *Ledger {
	l := &Ledger{Classes: map[string]*Counts{}}
	arrivals := arrivalsOf(journals)
	for n := range sent {
		s := &sent[n]
		class := l.Classes[s.Class]
		if class == nil {
			class = &Counts{}
			l.Classes[s.Class] = class
		}
		a := arrivals[s.ID]
		l.count(s, a)
		class.count(s, a)
		if s.Fate == Acknowledged && a.times == 0 && len(l.LostIDs) < maxLost {
			l.LostIDs = append(l.LostIDs, s.ID)
		}
	}
	for _, s := range overtaken(sent, arrivals) {
		l.Reordered++
		l.Classes[s.Class].Reordered++
	}
	return l
}

// arrival is how often a message was accepted, and its place among all first ones.
type arrival struct{ times, place int }

func arrivalsOf(journals [][]Entry) map[string]arrival {
	all := slices.Concat(journals...)
	slices.SortStableFunc(all, func(a, b Entry) int { return a.At.Compare(b.At) })
	arrivals := make(map[string]arrival, len(all))
	for place := range all {
		a, again := arrivals[all[place].ID]
		if !again {
			a.place = place
		}
		a.times++
		arrivals[all[place].ID] = a
	}
	return arrivals
}

func (c *Counts) count(s *Sent, a arrival) {
	c.Sent++
	switch s.Fate {
	case Acknowledged:
		c.Acknowledged++
	case Refused:
		c.Refused++
	default:
		c.Unknown++
	}
	switch {
	case a.times > 1:
		c.Duplicated++
		c.Accepted++
	case a.times == 1:
		c.Accepted++
	case s.Fate == Acknowledged:
		c.Lost++
	}
}

// overtaken lists the messages that arrived after a later one of their stream.
func overtaken(sent []Sent, arrivals map[string]arrival) (late []*Sent) {
	var arrived []*Sent
	for n := range sent {
		if arrivals[sent[n].ID].times > 0 {
			arrived = append(arrived, &sent[n])
		}
	}
	slices.SortFunc(arrived, func(a, b *Sent) int { return cmp.Compare(arrivals[a.ID].place, arrivals[b.ID].place) })
	latest := map[string]uint64{}
	for _, s := range arrived {
		if s.Number < latest[s.Stream] {
			late = append(late, s)
		}
		latest[s.Stream] = max(latest[s.Stream], s.Number)
	}
	return late
}
