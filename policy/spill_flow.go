package policy

import "time"

// flow pours every region's demand over all of them, as each will do it for
// itself.
func (c *spillService) flow(s *Spill, now time.Time) {
	f, order := &s.fill, s.order(c.service)
	f.reset()
	for n := range c.loads {
		demand := c.demand(s, n)
		f.homeless[n] = !c.loads[n].served
		f.closed[n] = s.regions[n].status.order == Pin
		f.rem[n] = demand
		if !f.homeless[n] {
			keep := demand * c.loads[n].hold.share
			f.flow[n*f.n+n], f.rem[n] = keep, demand-keep
		}
	}
	c.leaveToFrozen(s)
	c.headroom(s, now, s.cfg.Target)
	f.pour(order)
	c.stay(s, 1)
	c.headroom(s, now, 1)
	f.pour(order)
	f.spread(order, func(to int) float64 { return c.size(s, to, now) })
	c.stay(s, 0)
}

// leaveToFrozen takes out of the own region's demand what goes to regions whose
// reports are too old to say anything, and goes on going there.
func (c *spillService) leaveToFrozen(s *Spill) {
	f := &s.fill
	part := c.frozenPart(s) * c.demand(s, 0)
	out := min(part, f.rem[0])
	f.rem[0] -= out
	f.flow[0] = max(0, f.flow[0]-(part-out))
}

func (c *spillService) frozenPart(s *Spill) float64 {
	sum := 0.0
	for n := 1; n < len(c.loads); n++ {
		if c.isFrozen(s, n) {
			sum += c.weights[n]
		}
	}
	return sum
}

// isFrozen: the region lives but its report counts no more. Its share stays.
func (c *spillService) isFrozen(s *Spill, n int) bool {
	status := &s.regions[n].status
	return n > 0 && status.expired && status.order != Evacuate && c.loads[n].ready > 0
}

// headroom says what is left in each region below level of its capacity.
func (c *spillService) headroom(s *Spill, now time.Time, level float64) {
	for n := range c.loads {
		s.fill.head[n] = 0
		if c.dest(s, n) {
			s.fill.head[n] = c.headOf(s, n, now, level)
		}
	}
}

func (c *spillService) headOf(s *Spill, n int, now time.Time, level float64) float64 {
	l, room := &c.loads[n], 0.0
	if l.capacity > 0 {
		room = level*l.capacity*l.returned(now, s.cfg.Ramp) - l.demand
	} else {
		room = l.given + c.allowance(s, n)
	}
	got, trust := c.inflow(s, n), 1.0
	if n > 0 {
		trust = s.cfg.trust(now.Sub(s.regions[n].reported))
	}
	trusted := max(0, room)*trust - got
	// What goes there already needs no new report to go on.
	held := c.weights[n]*c.demand(s, 0) - s.fill.flow[n]
	return max(0, trusted, min(room-got, held))
}

// allowance is what a region of unknown capacity may be given beyond what it
// gets, until its next report: as much as it serves.
func (c *spillService) allowance(s *Spill, n int) float64 {
	l := &c.loads[n]
	return max(s.cfg.Unknown*float64(l.ready), l.demand+l.given)
}

// size is the capacity of a region, or what stands for it while it is unknown.
func (c *spillService) size(s *Spill, n int, now time.Time) float64 {
	l := &c.loads[n]
	if !c.dest(s, n) {
		return 0
	}
	if l.capacity > 0 {
		return l.capacity * l.returned(now, s.cfg.Ramp)
	}
	return c.allowance(s, n)
}

// stay leaves at home what has no other place, up to level of its capacity; all
// of it when level is 0.
func (c *spillService) stay(s *Spill, level float64) {
	f := &s.fill
	for n := range c.loads {
		if f.homeless[n] || f.rem[n] <= 0 {
			continue
		}
		room := f.rem[n]
		if capacity := c.loads[n].capacity; level > 0 && capacity > 0 {
			room = max(0, min(room, level*capacity-f.flow[n*f.n+n]))
		}
		f.flow[n*f.n+n] += room
		f.rem[n] -= room
	}
}

// inflow sums what others send to a region.
func (c *spillService) inflow(s *Spill, to int) float64 {
	f, sum := &s.fill, 0.0
	for from := range c.loads {
		if from != to {
			sum += f.flow[from*f.n+to]
		}
	}
	return sum
}
