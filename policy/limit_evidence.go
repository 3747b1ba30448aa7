package policy

import (
	"math"
	"time"
)

// A service can be slow because too much is in flight, or because it became
// slower. Only the first is helped by a lower limit. evidence compares what
// latency did while the limit was cut: if it did not fall with the limit, the
// baseline is out of date. The exponent of latency over limit is 1 at a service
// that is full, and 0 at one that is not; it is found by least squares from all
// measurements of a cut, since each alone is much by chance.
const (
	evidenceCut      = 1.5  // times as high as now the limit was before
	evidenceExponent = 0.6  // less, by two standard errors, is no queue
	evidenceShared   = 0.15 // the same beside other agents, whose requests hide most of what one cuts,
	evidenceDeepCut  = 2.0  // and this the cut, since a limit may also fall for another agent's sake
	evidenceRose     = -0.5 // an exponent below: latency rose while the limit fell, and something else happened
	evidencePeak     = 0.85 // of the highest latency: it had come by then
	evidenceChance   = 0.05 // standard deviation of a measurement at least
	evidenceLeast    = 3    // measurements before the one that is judged
	evidenceMemory   = 8 * time.Second
	evidenceKept     = 48
	evidenceDoubts   = 2               // measurements in a row, for each agent: what one cuts shows only once the others did
	evidenceAgents   = 8               // more are not waited for
	evidenceAtLeast  = 3 * time.Second // at the least limit, that nothing can be cut from
)

type evidence struct {
	past    [evidenceKept]point // the last first
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
	cut, most := evidenceCut, evidenceExponent
	if !l.alone() {
		cut, most = evidenceDeepCut, evidenceShared
	}
	past := e.fall(now)
	if len(past) < evidenceLeast || past[len(past)-1].limit < cut*now.limit {
		return 0, false
	}
	exponent, chance := exponentOf(now, past)
	return past[len(past)-1].limit, exponent > evidenceRose && exponent+2*chance < most
}

// fall returns the points since the limit began to fall and latency no longer
// rose.
func (e *evidence) fall(now point) []point {
	limit, highest, from := now.limit, now.latency, 0
	for i, p := range e.past[:e.kept] {
		if p.limit < limit {
			break
		}
		limit, highest = p.limit, max(highest, p.latency)
		if p.latency > evidencePeak*highest {
			from = i + 1
		}
	}
	return e.past[:from]
}

// exponentOf fits latency to a power of the limit, by least squares of their
// logarithms, and returns the exponent and its standard error.
func exponentOf(now point, past []point) (exponent, chance float64) {
	var x, y, xx, xy, yy float64
	add := func(p point) {
		limit, latency := math.Log(p.limit), math.Log(p.latency)
		x, y = x+limit, y+latency
		xx, xy, yy = xx+limit*limit, xy+limit*latency, yy+latency*latency
	}
	add(now)
	for _, p := range past {
		add(p)
	}
	n := float64(1 + len(past))
	xx, xy, yy = xx-x*x/n, xy-x*y/n, yy-y*y/n
	exponent = xy / xx
	unexplained := (yy - exponent*xy) / (n - 2)
	return exponent, math.Sqrt(max(unexplained, evidenceChance*evidenceChance) / xx)
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
