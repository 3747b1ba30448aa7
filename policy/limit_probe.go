package policy

import (
	"math"
	"time"
)

// probe questions a baseline that was learned while the limit was binding: the
// service may have been full already, and then the limit would rest too high for
// ever. So for a moment the limit is lowered. If latency falls below the
// baseline, that was too high. Once the service was seen with slots to spare, or
// a few answers said that all is well, there are no more questions.
type probe struct {
	proven   bool
	bound    time.Duration // how long the limit binds, and latency claims congestion
	interval time.Duration // until it is questioned
	from     float64       // the limit to go back to; 0: not probing
	left     int           // measurements still to come
	sum      float64       // of the ratios that count
}

const (
	probeDip      = 1.25
	probeSettle   = 1 // measurements that still hold what went before
	probeMeasures = 2
	probeFirst    = time.Second
	probeLast     = 8 * time.Second
	probeMoved    = 0.03 // of the baseline: it was wrong, ask again soon
	provenUpTo    = 0.75 // of the slots taken on average
)

// step takes in a measurement. busy: the limit is the probe's for now.
func (p *probe) step(l *limiter, m *measurement, taken float64) (busy bool) {
	if p.from > 0 {
		p.measure(l)
		return true
	}
	p.interval = max(p.interval, probeFirst)
	p.proven = p.proven || (taken <= provenUpTo && !m.shedding) || p.interval > probeLast
	if p.proven || taken < bindingFrom || l.confirmed <= limitTolerance || l.limit < probeDip*l.least {
		p.bound = 0
		return false
	}
	if p.bound += m.elapsed; p.bound < p.interval {
		return false
	}
	p.from, p.left, p.sum = l.limit, probeSettle+probeMeasures, 0
	l.set(math.Floor(l.limit / probeDip))
	return true
}

func (p *probe) measure(l *limiter) {
	if p.left--; p.left < probeMeasures {
		p.sum += l.ratio
	}
	if p.left > 0 {
		return
	}
	l.set(p.from)
	p.from, p.bound = 0, 0
	low := min(1, p.sum/probeMeasures)
	l.base.scale(low)
	l.ratio, l.confirmed = 1, 1
	l.evidence.forget()
	p.interval *= 2
	if low < 1-probeMoved {
		p.interval = probeFirst
	}
}
