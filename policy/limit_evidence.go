package policy

import (
	"math"
	"time"
)

// A service can be slow because too much is in flight, or because it became
// slower. Only the first is helped by a lower limit. evidence compares what
// latency did while the limit was cut: if it did not fall with the limit, the
// baseline is out of date. The exponent of latency over limit is 1 at a service
// that is full, and 0 at one that is not.
const (
	evidenceCut      = 1.5             // the limit was this many times as high
	evidenceExponent = 0.15            // less is no queue
	evidenceRise     = 0.1             // log of how much latency may have risen meanwhile
	evidenceMemory   = 8 * time.Second // older measurements are of another time
	evidenceKept     = 48
	evidenceQuick    = 8               // measurements; a limit that takes longer to be cut by as much may fall for another agent's sake,
	evidenceSlowCut  = 3.0             // and has to be cut by this
	evidenceDoubts   = 2               // measurements in a row, for each agent: what one cuts shows only once the others did
	evidenceAgents   = 8               // more are not waited for
	evidenceAtLeast  = 3 * time.Second // at the least limit, that nothing can be cut from
)

type evidence struct {
	past    [evidenceKept]point
	kept    int
	doubts  int           // measurements in a row that refute the baseline
	atLeast time.Duration // how long at the least limit, and too slow
}

type point struct {
	limit, latency float64 // latency as ratio to the baseline
	age            time.Duration
}

func (e *evidence) forget() { *e = evidence{} }

// judge takes in a measurement. found: latency does not depend on the limit;
// then the baseline has been moved to it, and higher is the limit to go back to.
func (e *evidence) judge(l *limiter, m *measurement, binding bool) (higher float64, found bool) {
	e.grow(m.elapsed)
	if !binding || !l.grown {
		e.forget()
		return 0, false
	}
	now := point{limit: math.Floor(l.limit), latency: l.ratio}
	if higher, found = e.refutes(l, m, now); !found {
		e.doubts = 0
	} else if e.doubts++; e.doubts >= evidenceDoubts*max(1, min(l.agents, evidenceAgents)) {
		l.base.scale(l.confirmed)
		l.ratio, l.confirmed = 1, 1
		e.forget()
		return higher, true
	}
	e.keep(now)
	return 0, false
}

// refutes says that the congestion which the baseline claims is none.
func (e *evidence) refutes(l *limiter, m *measurement, now point) (higher float64, found bool) {
	if l.confirmed <= limitTolerance {
		e.atLeast = 0
		return 0, false
	}
	if l.limit <= l.least {
		if e.atLeast += m.elapsed; e.atLeast > evidenceAtLeast {
			return l.limit, true
		}
	}
	for i, past := range e.past[:e.kept] {
		cut := evidenceCut
		if i >= evidenceQuick {
			cut = evidenceSlowCut
		}
		if past.limit >= cut*now.limit {
			return past.limit, isFlat(past, now)
		}
	}
	return 0, false
}

// isFlat says that latency stayed while the limit was cut. If it rose, something
// else happened in between, and that may be a loss of capacity.
func isFlat(past, now point) bool {
	fell := math.Log(past.latency / now.latency)
	return fell > -evidenceRise && fell < evidenceExponent*math.Log(past.limit/now.limit)
}

// grow makes the past older.
func (e *evidence) grow(elapsed time.Duration) {
	for i := range e.kept {
		if e.past[i].age += elapsed; e.past[i].age > evidenceMemory {
			e.kept = i
			return
		}
	}
}

// keep puts a point first.
func (e *evidence) keep(p point) {
	if p.limit == 0 {
		return
	}
	copy(e.past[1:], e.past[:])
	e.past[0] = p
	e.kept = min(e.kept+1, evidenceKept)
}
