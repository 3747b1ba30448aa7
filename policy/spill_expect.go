package policy

import "time"

// mourn works out how much of the demand of dead regions is still to come. Their
// devices turn to other regions, where they count as home demand as soon as they
// are there; so what the living have more than at the death has come, and what
// does not come within SpillConfig.Decay never will. Who loses several regions
// together and has no other left is cut off itself, and expects nothing.
func (c *spillService) mourn(s *Spill, now time.Time) {
	living, dead := 0.0, 0.0
	for n := range c.loads {
		switch status := &s.regions[n].status; {
		case status.dead:
			dead += c.loads[n].demand
		case !status.expired:
			living += c.loads[n].demand
		}
	}
	for n := range c.loads {
		l, r := &c.loads[n], &s.regions[n]
		if !r.status.dead || r.diedAt.IsZero() {
			l.ghost, l.mourns = 0, false
			continue
		}
		if !l.mourns {
			l.others, l.mourns = living, true
		}
		l.ghost = 0
		if dead > 0 && !s.cut {
			come := max(0, living-l.others) * l.demand / dead
			l.ghost = max(0, l.demand*s.cfg.stillExpected(now.Sub(r.diedAt))-come)
		}
	}
}

func (c *SpillConfig) stillExpected(since time.Duration) float64 {
	full := c.Decay / 5
	if since <= full {
		return 1
	}
	return max(0, float64(c.Decay-since)/float64(c.Decay-full))
}

const leastExpected = 0.01 // req/s: less is not worth a word

// expected lists what other regions will send here.
func (c *spillService) expected(s *Spill) []Inbound {
	var all []Inbound
	if !c.active {
		return nil
	}
	for n := 1; n < len(c.loads); n++ {
		l, flow := &c.loads[n], s.fill.flow[n*s.fill.n]
		if flow < leastExpected || l.demand <= 0 {
			continue
		}
		in := Inbound{From: s.names[n]}
		for class, rate := range l.classes {
			in.Rates[class] = rate * flow / l.demand
		}
		all = append(all, in)
	}
	return all
}
