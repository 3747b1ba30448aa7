package policy

import (
	"math"
	"time"
)

// probe questions a baseline that was learned while the limit was binding: the
// service may have been full already, and then the limit would rest too high for
// ever. So for a moment the limit is lowered. If latency falls below the
// baseline, that was too high; if it does not fall at all and is above the
// baseline, that was too low. While latency falls as the limit does, the next
// question is asked from there. Once the service was seen with slots to spare, or
// an answer said that all is well, there are no more questions; beside other
// agents, whose requests hide most of what one shows, it takes several.
type probe struct {
	proven   bool
	spare    int           // measurements in a row with slots to spare
	bound    time.Duration // how long the limit binds, and latency claims congestion
	interval time.Duration // until it is questioned
	question question
}

// question is one lowering of the limit.
type question struct {
	from       float64                // the limit that was lowered; 0: none is asked
	congestion float64                // the ratio there
	left       int                    // measurements still to come
	ratios     [probeMeasures]float64 // the last first
	answers    int64
}

const (
	probeDip      = 1.5  // times that the limit is lowered
	probeShared   = 1.25 // the same beside other agents, whose requests hide what it shows
	probeSettle   = 1    // measurements that still hold what went before
	probeMeasures = 2    // that count
	probeFirst    = time.Second
	probeLast     = 8 * time.Second
	probeMoved    = 0.03 // of the baseline: it was wrong, ask again soon
	provenUpTo    = 0.75 // of the slots taken on average
	probeFlat     = 0.15 // exponent of latency over limit: less is no queue
	probeRise     = 0.1  // log of how much latency may rise by chance
	provenAfter   = 5    // such measurements in a row; one alone may be of a queue that has just begun to grow
)

// busy says that the limit is the probe's for now.
func (p *probe) busy() bool { return p.question.from > 0 }

// step takes in a measurement. holds: the limit is the probe's for now.
func (p *probe) step(l *limiter, m *measurement, taken float64) (holds bool) {
	if p.busy() {
		if p.question.take(l.ratio, m) {
			p.conclude(l)
		}
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
	if l.ratio <= limitTolerance || l.limit < probeDip*l.least {
		return false
	}
	if p.bound += m.elapsed; p.bound < p.interval {
		return false
	}
	p.ask(l, l.confirmed)
	return true
}

// ask lowers the limit from one at which latency is congestion times the baseline.
func (p *probe) ask(l *limiter, congestion float64) {
	p.question = question{from: l.limit, congestion: congestion, left: probeSettle + probeMeasures}
	by := probeDip
	if !l.alone() {
		by = probeShared
	}
	l.set(math.Floor(l.limit / by))
}

// conclude corrects the baseline by what was found, and asks again from the
// lower limit or goes back to the higher.
func (p *probe) conclude(l *limiter) {
	q := p.question
	wrong, rose := q.wrong(l), q.rose()
	l.base.scale(wrong)
	l.evidence.forget()
	p.proven = p.proven || (wrong == 1 && !rose && l.alone())
	switch p.interval *= 2; {
	case wrong != 1:
		p.interval = probeFirst
	case rose:
		p.interval = min(p.interval, probeLast)
	}
	if l.alone() && q.full(l.limit) && l.limit >= probeDip*l.least {
		p.ask(l, q.found()/wrong)
		return
	}
	l.set(q.from)
	l.ratio = q.congestion / wrong
	l.confirmed = l.ratio
	p.bound, p.question = 0, question{}
}

// take says that this was the last measurement.
func (q *question) take(ratio float64, m *measurement) (last bool) {
	if q.left--; q.left < probeMeasures {
		q.ratios[q.left] = ratio
		q.answers += m.latency.count()
	}
	return q.left == 0
}

// found is the ratio at the lower limit.
func (q *question) found() float64 { return (q.ratios[0] + q.ratios[1]) / 2 }

// rose says that latency went up although the limit went down. Something else
// happened, such as a loss of slots, and so there was no answer.
func (q *question) rose() bool {
	return max(q.found()/q.congestion, q.ratios[0]/q.ratios[1]) > math.Exp(probeRise)
}

// wrong is by how much the baseline has to be multiplied; 1: it is right, as far
// as so few answers can tell.
func (q *question) wrong(l *limiter) float64 {
	found := q.found()
	chance := max(probeMoved, 1/math.Sqrt(float64(q.answers)))
	tooLow := found > 1+chance && q.flat(l.limit) && !q.rose() && l.alone()
	if found < 1-chance || tooLow {
		return found
	}
	return 1
}

// flat says that latency stayed though the limit was lowered.
func (q *question) flat(limit float64) bool {
	fell := math.Log(q.congestion / q.found())
	return fell > -probeRise && fell < probeFlat*math.Log(q.from/limit)
}

// full says that latency fell as it does where requests wait for slots.
func (q *question) full(limit float64) bool {
	return q.found() < q.congestion*math.Sqrt(limit/q.from)
}
