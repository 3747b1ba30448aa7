package policy

import "slices"

// Shares says where the demand of one service in the own region goes, and what
// will come from others. Immutable.
type Shares struct {
	Legs     []Share   // weights sum to 1; the own region comes first
	Expected []Inbound // spill that will come here, by the regions' names
	Reason   string    // why the shares are as they are, for people
}

// Share is a region's part of the own region's demand.
type Share struct {
	Region string
	Weight float64 // 0 to 1
	Target float64 // what Weight moves to
}

// Inbound is spill that another region will send here.
type Inbound struct {
	From  string
	Rates [4]float64 // req/s by class, for the region as a whole
}

// Weight returns the share of a region, 0 for one that has none.
func (s *Shares) Weight(region string) float64 {
	for i := range s.Legs {
		if s.Legs[i].Region == region {
			return s.Legs[i].Weight
		}
	}
	return 0
}

// publish makes the shares that views carry, unless nothing changed.
func (c *spillService) publish(s *Spill) {
	reason := c.reason(s)
	if was := c.shares; !c.active && was != nil && was.isLocal() && was.Reason == reason {
		return
	}
	next := Shares{Expected: c.expected(s), Reason: reason}
	for n, weight := range c.weights {
		if n == 0 || weight > 0 || c.target[n] > 0 {
			next.Legs = append(next.Legs, Share{Region: s.names[n], Weight: weight, Target: c.target[n]})
		}
	}
	if was := c.shares; was != nil && was.Reason == next.Reason &&
		slices.Equal(was.Legs, next.Legs) && slices.Equal(was.Expected, next.Expected) {
		return
	}
	c.shares = &next
}

func (s *Shares) isLocal() bool {
	return len(s.Legs) == 1 && s.Legs[0].Target == 1 && len(s.Expected) == 0
}

func (c *spillService) reason(s *Spill) string {
	home, l := &s.regions[0].status, &c.loads[0]
	switch {
	case home.order == Freeze:
		return "an operator froze the shares"
	case home.expired:
		return "the own region's report is too old: the shares stay as they are"
	case home.order == Evacuate:
		return "an operator evacuates the own region"
	case !home.home:
		return "the own region drains"
	case l.ready == 0:
		return "no instance is ready here"
	case home.order == Pin:
		return "an operator pinned the own region's demand to it"
	case l.hold.trend == returning:
		return "demand returns to the own region"
	case l.hold.spilling && c.target[0] < 1:
		return "the own region spills what it cannot serve well"
	case l.hold.spilling:
		return "the own region has more than it can serve well, and no other has room"
	}
	return "local"
}
