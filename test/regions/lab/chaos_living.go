//go:build linux

package lab

import (
	"slices"
	"time"

	"github.com/tidegate/tidegate/test/chaos/schedule"
)

// after is how long what was done to an agent or to a region shows at its own edge:
// devices notice by silence that a connection is dead.
const after = 6 * time.Second

// harmed says that an agent did not run or was cut off, in a time or for so long
// before it.
func (c *chaos) harmed(a *agent, from, until time.Time, after time.Duration) bool {
	return slices.ContainsFunc(c.played, func(p *played) bool {
		hit := p.agent == a && p.Fault != schedule.DrainAgent || p.Loses() == a.region.name
		return hit && p.during(from, until, after)
	})
}

// living says that a message was sent to an edge that lived and was to be reached
// while the message was under way.
func (c *chaos) living(m *message) bool {
	return !c.harmed(c.agent(m.Agent), m.Due, m.Due.Add(m.Took), after)
}

// reachable says that nothing kept two regions from each other, in a time or for so
// long before it.
func (c *chaos) reachable(one, other string, from, until time.Time, after time.Duration) bool {
	return !slices.ContainsFunc(c.played, func(p *played) bool {
		return p.Severs(one, other) && p.during(from, until, after)
	})
}
