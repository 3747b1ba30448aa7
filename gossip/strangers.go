package gossip

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// strangers are agents that the lead of the own region names and the LAN pool does
// not have: word of a new member is gossiped a number of times that the members known
// by then suffice for, and may pass an agent by. It would hear of it with the next
// state exchange that memberlist makes by itself, a minute later in a large region.
type strangers struct {
	since time.Time // there have been some; zero: there are none
	tried time.Time
}

// due says that a state exchange is: there have been strangers for Settle, and
// RejoinMax is over since the last one.
func (s *strangers) due(state *State, own string, t *Timing, now time.Time) bool {
	if !state.hasStrangers(own) {
		s.since = time.Time{}
		return false
	}
	if s.since.IsZero() {
		s.since = now
	}
	if now.Sub(s.since) < t.Settle || now.Sub(s.tried) < t.RejoinMax {
		return false
	}
	s.tried = now
	return true
}

func (s *State) hasStrangers(own string) bool {
	v := s.Regions[own].Vector
	return v != nil && slices.ContainsFunc(v.Agents, func(a AgentInfo) bool {
		_, member := slices.BinarySearchFunc(s.Members, a.Name, func(m Member, name string) int { return strings.Compare(m.Name, name) })
		return !member
	})
}

// exchange makes a state exchange with any member of the LAN pool: most know all.
func (m *Mesh) exchange() {
	others := slices.DeleteFunc(slices.Clone(m.State().Members), func(a Member) bool { return a.Name == m.cfg.Name })
	if len(others) == 0 || m.left.Load() {
		return
	}
	with := others[rand.IntN(len(others))]
	_, err := m.lan.list.Join([]string{with.Addr})
	m.metrics.joined(m.lan.name, err)
	m.cfg.Logger.Info("gossip lacks an agent that the lead names: states exchanged", "with", with.Name, "error", err)
}
