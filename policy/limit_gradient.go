package policy

import (
	"math"
	"time"
)

// The limit follows the gradient of latency (after Netflix's concurrency-limits,
// Gradient2): L ← tolerance/ratio·L + allowance·√L, ratio being the latency now
// over the baseline. A service of N slots has a ratio of L/N when it is full, so
// L settles a little above tolerance·N whatever the time that a slot is held.
const (
	limitTolerance = 1.1  // ratio that is not yet congestion
	startTolerance = 1.3  // the same before congestion was ever seen, when little is known
	limitAllowance = 0.2  // times √L: room for a queue in the service, and what makes several agents' limits equal
	needMost       = 4.0  // times that, for an agent whose critical requests starve beside other agents
	needRise       = 0.25 // of it a measurement
	needFall       = 4 * time.Second
	limitSmoothing = 0.5  // of the way to its target that the limit goes at a time
	limitSteepest  = 0.5  // it falls to no less of itself at a time
	refusedSteep   = 0.9  // the same, when the service refuses
	refusedShare   = 0.02 // of answers: fewer refusals are not congestion

	bindingFrom = 0.85 // of the slots taken on average: more were wanted, so the limit may grow
	calmUpTo    = 0.6  // of the slots taken on average: latency is the service's own, the baseline follows

	baselineRise = 10 * time.Second // time constants of the baseline
	baselineFall = time.Second
)

// measurement is what enough answers say.
type measurement struct {
	elapsed  time.Duration
	latency  latencySums
	overdue  givenUp
	ended    int64   // without those that the service refused
	refused  int64   // by the service
	freed    int64   // slots of both
	inFlight float64 // average, as arrivals found it
	shedding bool    // some were refused for want of capacity
	starving bool    // critical ones were refused, or waited much longer than others may
}

// limiter finds how many requests may be in flight. Not safe for concurrent use.
type limiter struct {
	least, most float64
	limit       float64
	base        baselines
	ratio       float64 // of the last measurement
	confirmed   float64 // the lesser of the last two ratios: one alone may be a pause
	usual, last time.Duration
	grown       bool    // congestion was seen: no more doubling
	lasting     float64 // the greater of the last two
	agents      int     // that share the service, this one included; 0 counts as 1
	need        float64 // of allowance beyond the usual, 0 to needMost-1
	evidence    evidence
	probe       probe
	capacity    knownCapacity
}

func newLimiter(c AdmissionConfig) limiter {
	return limiter{least: float64(c.MinLimit), most: float64(c.MaxLimit), limit: float64(c.StartLimit), ratio: 1, confirmed: 1}
}

// learn takes in a measurement.
func (l *limiter) learn(m *measurement) {
	ratio, known := l.base.ratio(&m.latency)
	l.base.adopt(&m.latency, ratio)
	if known {
		l.confirmed, l.lasting = min(l.ratio, ratio), max(l.ratio, ratio)
	}
	l.ratio = ratio
	taken := m.inFlight / math.Floor(l.limit)
	l.capacity.learn(l, m, taken)
	l.followBaseline(m, taken)
	l.followNeed(m)
	l.step(m, taken)
	if usual := l.base.usual(&m.latency); usual > 0 {
		l.usual, l.last = time.Duration(usual), m.latency.mean()
	}
}

// followBaseline lets the baseline follow while the limit is far from binding.
// Otherwise it only falls: what is faster than the baseline under load would be
// at least as fast without. A probe moves it by itself.
func (l *limiter) followBaseline(m *measurement, taken float64) {
	if l.probe.busy() {
		return
	}
	calm := taken < calmUpTo && !m.shedding
	if l.lasting < 1 || (!l.grown && !m.shedding && l.ratio <= startTolerance) {
		l.base.follow(&m.latency, weightOf(m.elapsed, baselineFall))
	} else if calm {
		l.base.follow(&m.latency, weightOf(m.elapsed, baselineRise))
	}
}

func weightOf(elapsed, memory time.Duration) float64 {
	return -math.Expm1(-float64(elapsed) / float64(memory))
}

func (l *limiter) step(m *measurement, taken float64) {
	binding := taken >= bindingFrom
	if m.refusedMuch() {
		l.grown = true
		l.set(l.limit * max(refusedSteep, 1-m.refusedPart()))
		return
	}
	if l.confirmed > startTolerance {
		l.grown = true
	}
	if l.probe.step(l, m, taken) {
		return
	}
	if higher, found := l.evidence.judge(l, m, binding); found {
		l.set(higher)
		return
	}
	if binding && !l.grown && l.ratio <= startTolerance {
		l.set(2 * l.limit)
		return
	}
	if target := l.target(l.confirmed); target < l.limit && taken >= calmUpTo {
		l.set(l.limit + limitSmoothing*(target-l.limit))
	}
	if target := l.target(l.cautious(m)); target > l.limit && binding {
		l.set(l.limit + limitSmoothing*(target-l.limit))
	}
}

// target is where the limit should be if latency is congestion times the baseline.
func (l *limiter) target(congestion float64) float64 {
	allowance := limitAllowance * (1 + l.need) * math.Sqrt(l.limit)
	return l.limit*max(limitSteepest, limitTolerance/congestion) + allowance
}

// cautious is the congestion to grow by: in a burst that passes, one measurement
// may show none and the next one does.
func (l *limiter) cautious(m *measurement) float64 {
	if m.shedding {
		return (l.confirmed + l.lasting) / 2
	}
	return l.lasting
}

// followNeed lets an agent whose critical requests starve take slots from those
// of the others that have enough for theirs. An agent that is alone has nobody to
// take them from.
func (l *limiter) followNeed(m *measurement) {
	if m.starving && !l.alone() {
		l.need = min(l.need+needRise, needMost-1)
		return
	}
	l.need -= l.need * weightOf(m.elapsed, needFall)
}

// alone says that no other agent shares the service.
func (l *limiter) alone() bool { return l.agents <= 1 }

func (l *limiter) set(limit float64) { l.limit = min(max(limit, l.least), l.most) }

func (m *measurement) refusedPart() float64 {
	return float64(m.refused) / float64(max(1, m.ended+m.refused))
}

func (m *measurement) refusedMuch() bool { return m.refusedPart() > refusedShare }

// scaled is called when the service has factor times its instances.
func (l *limiter) scaled(factor float64) {
	l.set(l.limit * factor)
	l.capacity.scaled(factor)
	l.evidence.forget()
}
