package policy

import (
	"math"
	"time"
)

const (
	settled    = 1e-4 // a share this near to its target is there
	maxCaution = 32

	leastReversal = 0.01 // of the demand
	cautionFade   = 2 * time.Minute
)

// aim makes the own region's targets out of the flow.
func (c *spillService) aim(s *Spill) {
	sum := 0.0
	if s.regions[0].frozen() {
		sum = c.keepTargets(s)
	}
	if sum <= 0 {
		sum = c.flowTargets(s)
	}
	if sum <= 0 {
		c.target[0], sum = 1, 1
	}
	for n := range c.target {
		c.target[n] /= sum
	}
}

func (c *spillService) flowTargets(s *Spill) (sum float64) {
	demand := c.demand(s, 0)
	for n := range c.target {
		c.target[n] = s.fill.flow[n] / demand
		if c.isFrozen(s, n) {
			c.target[n] = c.weights[n]
		}
		sum += c.target[n]
	}
	return sum
}

// keepTargets are the shares as they are, but of what is gone.
func (c *spillService) keepTargets(s *Spill) (sum float64) {
	for n := range c.target {
		c.target[n] = c.weights[n]
		if c.gone(s, n) {
			c.target[n] = 0
		}
		sum += c.target[n]
	}
	return sum
}

// damp moves the weights towards their targets, once for each new report that
// concerns them. What cannot serve any more is left at once, and what is found
// here for the first time is taken at once: nothing was sent away that returns.
func (c *spillService) damp(s *Spill, now time.Time) {
	if found := c.loads[0].served && !c.found; found || !c.started {
		copy(c.weights, c.target)
		c.started, c.found = true, c.found || found
	}
	c.leave(s)
	if c.concerned(s) {
		c.beware(now)
		gain := c.gain(s, now)
		c.stepped = now
		far := 0.0
		for n := range c.weights {
			c.weights[n] += gain * (c.target[n] - c.weights[n])
			far = max(far, math.Abs(c.target[n]-c.weights[n]))
		}
		if far < settled {
			copy(c.weights, c.target)
		}
	}
}

// leave gives the weight of regions that cannot serve to those which have less
// than their targets, in proportion to what they lack.
func (c *spillService) leave(s *Spill) {
	missing, lack := 1.0, 0.0
	for n := range c.weights {
		if c.target[n] == 0 && c.gone(s, n) {
			c.weights[n] = 0
		}
		missing -= c.weights[n]
		lack += max(0, c.target[n]-c.weights[n])
	}
	if missing <= crumb || lack <= 0 {
		return
	}
	for n := range c.weights {
		c.weights[n] += missing * max(0, c.target[n]-c.weights[n]) / lack
	}
}

func (c *spillService) gone(s *Spill, n int) bool {
	if n == 0 {
		return !c.loads[0].served
	}
	return !c.dest(s, n) && !c.isFrozen(s, n)
}

// concerned: there is news of a region whose share is to move.
func (c *spillService) concerned(s *Spill) bool {
	for n := range c.weights {
		if s.regions[n].news && (n == 0 || c.weights[n] != c.target[n]) {
			return true
		}
	}
	return false
}

// beware doubles the age that is reckoned with whenever the targets turn round:
// what a region reports may answer to what it is sent, and reports may be older
// than anybody can know, and then a gain for young ones swings. Without
// reversals caution fades.
func (c *spillService) beware(now time.Time) {
	far, turn := 0.0, 0.0
	for n, was := range c.lean {
		lean := c.target[n] - c.weights[n]
		far, turn = max(far, math.Abs(lean)), turn+lean*was
	}
	fade := math.Exp(-float64(now.Sub(c.stepped)) / float64(cautionFade))
	c.caution = 1 + (max(1, c.caution)-1)*fade
	if far < c.reversal() {
		return
	}
	if turn < 0 {
		c.caution = min(maxCaution, 2*c.caution)
	}
	for n := range c.lean {
		c.lean[n] = c.target[n] - c.weights[n]
	}
}

// reversal is how far a target has to be to count as one that turned: two
// standard deviations of what independent arrivals differ by from one second to
// the next.
func (c *spillService) reversal() float64 {
	return max(leastReversal, 2/math.Sqrt(c.loads[0].demand))
}

// gain is how far the weights go towards their targets: γ = d^d/(d+1)^(d+1) for
// each interval between reports, where d is the age of what moves them ÷ the
// interval. It is the gain at which an integrator that sees itself d steps late
// approaches without overshoot (its characteristic equation z^(d+1) − z^d + γ =
// 0 has a double root at d/(d+1)); several regions' reports within an interval
// share one step.
func (c *spillService) gain(s *Spill, now time.Time) float64 {
	var age, interval, moved float64
	for n := range c.weights {
		far, r := math.Abs(c.target[n]-c.weights[n]), &s.regions[n]
		age += far * (c.caution*float64(s.cfg.Delay) + float64(r.rtt/2))
		interval += far * float64(r.interval)
		moved += far
	}
	if moved == 0 {
		return 0
	}
	part := min(1, float64(now.Sub(c.stepped))*moved/interval)
	return 1 - math.Pow(1-criticalGain(age/interval), part)
}

// criticalGain is d^d/(d+1)^(d+1), from 1 at 0 down.
func criticalGain(d float64) float64 {
	if !(d > 0) {
		return 1
	}
	return math.Exp(d*math.Log(d) - (d+1)*math.Log(d+1))
}
