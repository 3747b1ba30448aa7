package policy

import (
	"math"
	"time"
)

// An expectation that does not come true is given up.
const (
	expectMemory = 2500 * time.Millisecond // time constant
	expectLast   = 10 * time.Second        // then nothing is left of it, however much it was
)

// expectGrowth is how much more must be announced than before to begin anew.
const expectGrowth = 1.25

type classRates = [int(Critical) + 1]float64

// forecast is traffic that was announced. What has come of it is demand like any
// other; only the rest is expected, and less of it as time goes by.
type forecast struct {
	cause           string
	spilled, moving announced
}

// announced is how much more than before is to come, by class.
type announced struct {
	rates  classRates
	before classRates                       // what came when it was announced
	since  [int(Critical) + 1]time.Duration // how long this much of the class was announced
}

func (f *forecast) tell(x Expectation, local classRates) {
	other := x.Cause != f.cause
	f.cause = x.Cause
	f.spilled.tell(x.Rates, classRates{}, other)
	f.moving.tell(x.Moving, local, other)
}

func (n *announced) tell(rates, before classRates, other bool) {
	for c, rate := range rates {
		if !(rate > 0) || math.IsInf(rate, 0) {
			rates[c] = 0
		}
		if other || n.rates[c] == 0 {
			n.before[c] = before[c]
		}
		if other || rates[c] > expectGrowth*n.rates[c] {
			n.since[c] = 0
		}
	}
	n.rates = rates
}

// age lets time go by.
func (f *forecast) age(elapsed time.Duration) {
	for c := range f.spilled.since {
		f.spilled.since[c] = min(f.spilled.since[c]+elapsed, time.Hour)
		f.moving.since[c] = min(f.moving.since[c]+elapsed, time.Hour)
	}
}

// remaining is what is still to come, when seen is what comes.
func (n *announced) remaining(seen classRates) (rates classRates) {
	for c, rate := range n.rates {
		if n.since[c] >= expectLast {
			continue
		}
		left := rate*math.Exp(-float64(n.since[c])/float64(expectMemory)) - max(0, seen[c]-n.before[c])
		if left > rate/100 {
			rates[c] = left
		}
	}
	return rates
}

// come is how much of what was announced has come.
func (n *announced) come(seen classRates) (sum float64) {
	for c, rate := range n.rates {
		sum += min(rate, max(0, seen[c]-n.before[c]))
	}
	return sum
}

func (f *forecast) stands() bool { return sumOf(f.spilled.rates)+sumOf(f.moving.rates) > 0 }

func sumOf(rates classRates) (sum float64) {
	for _, rate := range rates {
		sum += rate
	}
	return sum
}
