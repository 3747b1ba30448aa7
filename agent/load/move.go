package load

import (
	"fmt"
	"time"
)

// Move takes the devices of a region to the edges of other regions for a
// while, as when their own is out of reach.
type Move struct {
	Region      string        // whose devices
	From, Until time.Duration // since the beginning; Until 0: to the end
	Over        time.Duration // the first leaves at From, the last so much later; 0: all at once
	BackOver    time.Duration // the same from Until on
}

func (c *Config) checkMove(m *Move) error {
	others, own := 0, 0
	for i := range c.Edges {
		if c.Edges[i].Region == m.Region {
			own++
		} else {
			others++
		}
	}
	switch {
	case m.From < 0 || m.Over < 0 || m.BackOver < 0 || m.Until != 0 && m.Until <= m.From:
		return fmt.Errorf("%w: devices move from %s until %s: nothing lies between", ErrConfig, m.From, m.Until)
	case own == 0 || others == 0:
		return fmt.Errorf("%w: devices of region %q cannot move: %d edges are there, %d elsewhere", ErrConfig, m.Region, own, others)
	}
	return nil
}

// edgeOf is where a device connects at a time since the beginning.
func (g *generator) edgeOf(d *device, at time.Duration) *Edge {
	for n := range g.cfg.Moves {
		m := &g.cfg.Moves[n]
		if m.Region == d.home.Region && m.away(d.place, at) {
			return g.elsewhere(d)
		}
	}
	return d.home
}

// away says whether a device is gone; its place among its region's devices,
// from 0 to below 1, says when it leaves and returns.
func (m *Move) away(place float64, at time.Duration) bool {
	left := m.From + time.Duration(place*float64(m.Over))
	back := m.Until + time.Duration(place*float64(m.BackOver))
	return at >= left && (m.Until == 0 || at < back)
}

// elsewhere spreads the devices of a region evenly over the edges of the
// others.
func (g *generator) elsewhere(d *device) *Edge {
	var others []*Edge
	for i := range g.cfg.Edges {
		if g.cfg.Edges[i].Region != d.home.Region {
			others = append(others, &g.cfg.Edges[i])
		}
	}
	return others[d.rank%len(others)]
}
