//go:build linux

package wan

import (
	"math/rand/v2"
	"time"
)

// chance decides what becomes of single packets. What it says depends on the
// seed and the packets before, not on time.
type chance struct {
	dice *rand.Rand
	bad  bool // in a bad period
}

// lost says whether the next packet is. Between good and bad periods packets
// step as in Gilbert's and Elliott's model, with the probabilities that make
// bad periods last p.Burst packets, and p.Loss of all packets lost.
func (c *chance) lost(p *Profile) bool {
	if p.Burst <= 1 {
		return c.happens(p.Loss)
	}
	end := 1 / p.Burst
	bad := p.Loss / p.burstLoss() // share of packets that meet a bad period
	if c.bad {
		c.bad = !c.happens(end)
	} else {
		c.bad = c.happens(end * bad / (1 - bad))
	}
	return c.bad && c.happens(p.burstLoss())
}

func (c *chance) happens(probability float64) bool {
	return probability > 0 && c.dice.Float64() < probability
}

// wander is a value between -1 and 1 that moves from one random value to the
// next on a straight line.
type wander struct {
	dice     *rand.Rand
	from, to float64
	began    time.Time
}

// wanderTime is how long one line takes, in units of the jitter. Above 2 the
// delay falls less than time passes, and packets keep their order.
const wanderTime = 3

// stray is how far the delay is off at a moment.
func (w *wander) stray(now time.Time, jitter time.Duration) time.Duration {
	if jitter == 0 {
		return 0
	}
	line := wanderTime * jitter
	switch gone := now.Sub(w.began); {
	case gone >= 2*line:
		w.from, w.to, w.began = w.roll(), w.roll(), now
	case gone >= line:
		w.from, w.to, w.began = w.to, w.roll(), w.began.Add(line)
	}
	share := float64(now.Sub(w.began)) / float64(line)
	return time.Duration((w.from + (w.to-w.from)*share) * float64(jitter))
}

func (w *wander) roll() float64 { return 2*w.dice.Float64() - 1 }
