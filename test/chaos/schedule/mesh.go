// Package schedule is what happens when in a run of chaos: it makes schedules from
// a seed, within rules, reads and writes them, shrinks one that fails, and keeps
// the log of what was run. It is pure but for the log's file: package lab does
// what a schedule says.
package schedule

import (
	"fmt"
	"slices"
)

// Mesh is what a schedule is for.
type Mesh struct {
	Regions []string
	Agents  int                 // of each region, at least 2
	Homes   map[string][]string // by service: the regions where it lives
}

func (m *Mesh) agents(region string) (names []string) {
	for n := range m.Agents {
		names = append(names, fmt.Sprintf("%s-a%d", region, n+1))
	}
	return names
}

// RegionOf an agent; empty when there is no such agent.
func (m *Mesh) RegionOf(agent string) string {
	for _, region := range m.Regions {
		if slices.Contains(m.agents(region), agent) {
			return region
		}
	}
	return ""
}

// services in the order of their names: a map has none.
func (m *Mesh) services() (names []string) {
	for name := range m.Homes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
