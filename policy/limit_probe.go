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
	proven     bool
	spare      int           // measurements in a row with slots to spare
	bound      time.Duration // how long the limit binds, and latency claims congestion
	interval   time.Duration // until it is questioned
	from       float64       // the limit to go back to; 0: not probing
	congestion float64       // the ratio there
	left       int           // measurements still to come
	answers    latencySums
	sum        float64 // of the ratios that count
}

const (
	probeDip      = 1.5  // times that the limit is lowered
	probeShared   = 1.25 // the same beside other agents, whose requests hide what it shows
	probeLeast    = 3    // of the limit that is lowered: one slot of two is too much to ask
	probeSettle   = 1    // measurements that still hold what went before
	probeMeasures = 2
	probeFirst    = time.Second
	probeLast     = 8 * time.Second
	probeMoved    = 0.03 // of the baseline: it was wrong, ask again soon
	provenUpTo    = 0.75 // of the slots taken on average
	provenAfter   = 5    // such measurements in a row; one alone may be of a queue that has just begun to grow
)

// busy says that the limit is the probe's for now.
func (p *probe) busy() bool { return p.from > 0 }

// step takes in a measurement. holds: the limit is the probe's for now.
func (p *probe) step(l *limiter, m *measurement, taken float64) (holds bool) {
	if p.busy() {
		p.measure(l, m)
		return true
	}
	p.interval = max(p.interval, probeFirst)
	if p.spare++; taken > provenUpTo || m.shedding || l.confirmed > limitTolerance {
		p.spare = 0
	}
	p.proven = p.proven || p.spare >= provenAfter || p.interval > probeLast
	if p.proven || taken < bindingFrom {
		p.bound = 0
		return false
	}
	if l.ratio <= limitTolerance || l.limit < probeLeast {
		return false
	}
	if p.bound += m.elapsed; p.bound < p.interval {
		return false
	}
	p.dip(l, l.confirmed)
	return true
}

// dip lowers the limit from one at which latency is congestion times the baseline.
func (p *probe) dip(l *limiter, congestion float64) {
	p.from, p.congestion = l.limit, congestion
	p.left, p.sum, p.answers = probeSettle+probeMeasures, 0, latencySums{}
	by := probeDip
	if l.agents > 1 {
		by = probeShared
	}
	l.set(math.Floor(l.limit / by))
}

func (p *probe) measure(l *limiter, m *measurement) {
	if p.left--; p.left < probeMeasures {
		p.sum += l.ratio
		p.answers.add(&m.latency)
	}
	if p.left > 0 {
		return
	}
	found := p.sum / probeMeasures
	chance := max(probeMoved, 1/math.Sqrt(float64(p.answers.count())))
	before := (p.sum - l.ratio) / (probeMeasures - 1)
	rose := max(found/p.congestion, l.ratio/before) > math.Exp(evidenceRise) // something else happened: that was no answer
	flat := isFlat(point{p.from, p.congestion, 0}, point{l.limit, found, 0})
	moved, alone := 1.0, l.agents <= 1
	if found < 1-chance || (alone && flat && !rose && found > 1+chance) {
		moved = found
		l.base.correct(&p.answers, found)
	}
	l.evidence.forget()
	p.proven = p.proven || (moved == 1 && alone && !rose)
	p.interval *= 2
	if moved != 1 || rose {
		p.interval = probeFirst
	}
	if alone && found < p.congestion*math.Sqrt(l.limit/p.from) && l.limit >= probeLeast {
		p.dip(l, found/moved)
		return
	}
	l.set(p.from)
	l.ratio = p.congestion / moved
	l.confirmed = l.ratio
	p.from, p.bound = 0, 0
}
