package policy

import (
	"math"
	"time"
)

// expectMemory is the time constant with which an expectation that does not come
// true is given up: after ten seconds it counts a fiftieth.
const expectMemory = 2500 * time.Millisecond

// forecast is spill that was announced. What has come of it is demand like any
// other; only the rest is expected, and less of it as time goes by.
type forecast struct {
	told  Expectation
	since [int(Critical) + 1]time.Duration // how long this much of the class was announced
}

// expectGrowth is how much more must be announced than before to begin anew.
const expectGrowth = 1.25

func (f *forecast) tell(x Expectation) {
	for c, rate := range x.Rates {
		if !(rate > 0) || math.IsInf(rate, 0) {
			x.Rates[c] = 0
		}
		if x.Cause != f.told.Cause || x.Rates[c] > expectGrowth*f.told.Rates[c] {
			f.since[c] = 0
		}
	}
	f.told = x
}

// age lets time go by.
func (f *forecast) age(elapsed time.Duration) {
	for c := range f.since {
		f.since[c] = min(f.since[c]+elapsed, time.Hour)
	}
}

// remaining is what is still to come, when spilled is what comes.
func (f *forecast) remaining(spilled [int(Critical) + 1]float64) (rates [int(Critical) + 1]float64) {
	for c, rate := range f.told.Rates {
		left := rate*math.Exp(-float64(f.since[c])/float64(expectMemory)) - spilled[c]
		if left > rate/100 {
			rates[c] = left
		}
	}
	return rates
}

func (f *forecast) stands() bool {
	for _, rate := range f.told.Rates {
		if rate > 0 {
			return true
		}
	}
	return false
}
