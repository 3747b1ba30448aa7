package policy

import "time"

// spillService is the spill of one service.
type spillService struct {
	name    string
	service *Service
	loads   []spillLoad // by slot
	weights []float64   // the own region's shares
	target  []float64   // what they move to
	started bool
	found   bool      // the own region was seen to serve
	stepped time.Time // when weights last moved to target
	lean    []float64 // to where the weights last had a way to go
	caution float64   // how many times older reports are taken to be; see beware
	active  bool      // it has something to move, or moves with time
	shares  *Shares
}

// nominal is the demand that a region is planned for when it has none: its next
// request has to go somewhere.
const nominal = 1e-3 // req/s

func newSpillService(n int) *spillService {
	c := &spillService{loads: make([]spillLoad, n), weights: make([]float64, n), target: make([]float64, n), lean: make([]float64, n)}
	for i := range c.loads {
		c.loads[i].hold.share = 1
	}
	return c
}

// move puts what is known of each region into its new slot; from[n] is the old
// one, -1 for a region that is new.
func (c *spillService) move(from []int) {
	next := newSpillService(len(from))
	for n, was := range from {
		if was >= 0 {
			next.loads[n], next.weights[n] = c.loads[was], c.weights[was]
		}
	}
	c.loads, c.weights, c.target, c.lean = next.loads, next.weights, next.target, next.lean
}

// ingest reads what is new of each region, all of them when all is set, and says
// whether anything differs.
func (c *spillService) ingest(s *Spill, v *View, all bool) bool {
	home := v.Home[c.name]
	ready := home.Ready
	if pool, ok := v.Local[c.name]; ok {
		ready = len(pool.ready)
	}
	differs := c.loads[0].read(home, ready)
	changed := c.told(s, 0, differs) || differs
	for n := 1; n < len(c.loads); n++ {
		r := &s.regions[n]
		if r.status.dead || !all && !r.news {
			continue
		}
		l := &c.loads[n]
		load := v.Regions[r.name].Ready[c.name]
		differs := l.read(load, load.Ready)
		changed = c.told(s, n, differs) || differs || changed
	}
	return changed
}

// told takes note that a report came, or that its figures are others, and says
// whether that moves anything.
func (c *spillService) told(s *Spill, n int, differs bool) bool {
	r, l := &s.regions[n], &c.loads[n]
	if r.news {
		l.given = l.inflow
	}
	return (r.news || differs) && l.learn(r.interval, s.cfg.Memory)
}

// update computes the shares anew. passed is the time since the Update before.
func (c *spillService) update(s *Spill, now time.Time, passed time.Duration) {
	c.remember(s, now, passed)
	if c.calm(s) {
		c.active, c.started, c.found = false, true, true
		clear(c.target)
		c.target[0] = 1
		c.publish(s)
		return
	}
	c.active = true
	c.flow(s, now)
	c.aim(s)
	c.damp(s, now)
	for n := range c.loads {
		c.loads[n].inflow = c.inflow(s, n)
		if n > 0 { // the own part is what the damped weights send
			c.loads[n].inflow += c.weights[n]*c.demand(s, 0) - s.fill.flow[n]
		}
	}
	c.publish(s)
}

// remember brings what is kept of each region up to date.
func (c *spillService) remember(s *Spill, now time.Time, passed time.Duration) {
	c.mourn(s, now)
	for n := range c.loads {
		l, r := &c.loads[n], &s.regions[n]
		if r.status.expired && n > 0 {
			continue
		}
		l.serves(c.home(s, n), r.status.dead, now, s.cfg.Ramp)
		switch {
		case r.frozen() || !l.served:
		case r.status.order == Pin:
			l.hold.step(&s.cfg, 0, passed)
		default:
			l.hold.step(&s.cfg, l.use, passed)
		}
	}
}

// home says whether the region can serve its own demand.
func (c *spillService) home(s *Spill, n int) bool {
	return s.regions[n].status.home && c.loads[n].ready > 0
}

// dest says whether the region may be given spill.
func (c *spillService) dest(s *Spill, n int) bool {
	return s.regions[n].status.dest && c.loads[n].ready > 0
}

// demand is what has to be served of a region's devices, wherever.
func (c *spillService) demand(s *Spill, n int) float64 {
	switch {
	case s.regions[n].status.dead:
		return c.loads[n].ghost
	case n == 0:
		return max(nominal, c.loads[0].demand)
	case s.regions[n].status.expired:
		return 0
	}
	return c.loads[n].demand
}

// calm: everybody serves itself, and has done so long enough that nothing moves.
func (c *spillService) calm(s *Spill) bool {
	if c.weights[0] != 1 && c.started || !c.loads[0].served {
		return false
	}
	for n := range c.loads {
		l := &c.loads[n]
		if c.demand(s, n) > 0 && (!l.served || l.hold.spilling) || !l.backAt.IsZero() {
			return false
		}
	}
	c.weights[0] = 1
	for n := range c.loads {
		c.loads[n].inflow = 0
	}
	return true
}
