// Package presence knows where devices are. In each region every device has a
// home: the agent that rendezvous hashing of its id names among the live ones. An
// agent that has a session of a device claims it at its home, which is asked first
// where a device is, and which decides whose connection is the newest.
//
// What a home knows is nowhere else and is not kept: when it dies, agents claim
// what they have at the next one.
package presence

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Claim is an agent's word on one session of a device.
type Claim struct {
	Client    string `json:"client"`
	Protocol  string `json:"protocol"`
	Epoch     uint64 `json:"epoch,omitempty"` // number that the device gave its connection, growing; 0: none
	Connected bool   `json:"connected"`
	AgeMS     int64  `json:"age_ms"` // since the connection came, or the last one did
	// Mark is the agent's own, given back when the session is lost.
	Mark int64 `json:"mark"`
}

// Claims are all sessions that an agent has of a device; none: it has none any
// more.
type Claims struct {
	Device   string  `json:"device"`
	Sessions []Claim `json:"sessions,omitempty"`
}

// Loss is a session that an agent has to end, because the device has a newer one
// at another agent.
type Loss struct {
	Device   string `json:"device"`
	Client   string `json:"client"`
	Protocol string `json:"protocol"`
	Mark     int64  `json:"mark"`
}

// Place is where a device has a session.
type Place struct {
	Agent string `json:"agent"`
	Claim
}

// Book is what an agent knows as the home of devices. The zero value is ready for
// use. Safe for concurrent use.
type Book struct {
	mu      sync.Mutex
	devices map[string][]entry
}

type entry struct {
	agent string
	Claim
	at time.Time // that the connection came, by this agent's clock
}

// Enter replaces what an agent claimed of a device. It returns the sessions lost
// by it, by agent; the same agent's among them where another's is newer.
func (b *Book) Enter(agent string, c Claims, now time.Time) (lost map[string][]Loss) {
	b.mu.Lock()
	defer b.mu.Unlock()
	entries := slices.DeleteFunc(slices.Clone(b.devices[c.Device]), func(e entry) bool { return e.agent == agent })
	for _, claim := range c.Sessions {
		entries = append(entries, entry{agent, claim, now.Add(-time.Duration(claim.AgeMS) * time.Millisecond)})
	}
	slices.SortStableFunc(entries, newest)
	kept := entries[:0]
	for _, e := range entries {
		if slices.ContainsFunc(kept, e.sameSession) {
			if lost == nil {
				lost = map[string][]Loss{}
			}
			lost[e.agent] = append(lost[e.agent], Loss{c.Device, e.Client, e.Protocol, e.Mark})
			continue
		}
		kept = append(kept, e)
	}
	b.put(c.Device, kept)
	return lost
}

func (b *Book) put(device string, entries []entry) {
	switch {
	case len(entries) == 0:
		delete(b.devices, device)
	case b.devices == nil:
		b.devices = map[string][]entry{device: entries}
	default:
		b.devices[device] = entries
	}
}

func (e entry) sameSession(o entry) bool { return e.Client == o.Client && e.Protocol == o.Protocol }

// newest orders sessions of a device: by the device's own count where both have
// one, else by when the connection came, even if it went since: that an agent
// notices the end of an old one late makes it no newer. Names break ties, so that
// all agree.
func newest(a, b entry) int {
	if a.Epoch > 0 && b.Epoch > 0 && a.Epoch != b.Epoch {
		return cmp.Compare(b.Epoch, a.Epoch)
	}
	return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.agent, b.agent))
}

// Find returns where a device is, the best place first.
func (b *Book) Find(device string, now time.Time) []Place {
	b.mu.Lock()
	entries := slices.Clone(b.devices[device])
	b.mu.Unlock()
	places := make([]Place, 0, len(entries))
	for _, e := range entries {
		e.AgeMS = now.Sub(e.at).Milliseconds()
		places = append(places, Place{e.agent, e.Claim})
	}
	slices.SortFunc(places, Better)
	return places
}

// Better orders places where a command for a device may go: those with a
// connection first, then the newest.
func Better(a, b Place) int {
	switch {
	case a.Connected != b.Connected && a.Connected:
		return -1
	case a.Connected != b.Connected:
		return 1
	case a.Epoch > 0 && b.Epoch > 0 && a.Epoch != b.Epoch:
		return cmp.Compare(b.Epoch, a.Epoch)
	}
	return cmp.Or(cmp.Compare(a.AgeMS, b.AgeMS), cmp.Compare(a.Agent, b.Agent))
}

// Keep forgets what agents claimed that are not among those that live.
func (b *Book) Keep(agents []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for device, entries := range b.devices {
		b.put(device, slices.DeleteFunc(entries, func(e entry) bool { return !slices.Contains(agents, e.agent) }))
	}
}

// Len returns how many devices this agent is the home of.
func (b *Book) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.devices)
}
