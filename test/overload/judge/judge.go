// Package judge is the arithmetic of the bars, and the refusal to judge a run
// that the machine or the load's generator spoiled.
package judge

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Bar is a promise and what was measured of it.
type Bar struct {
	Bar     string  `json:"bar"`
	Value   float64 `json:"value"`
	Unit    string  `json:"unit"`
	Bound   string  `json:"bound"`
	Pass    bool    `json:"pass"`
	Refused string  `json:"refused,omitempty"` // why the value is not judged
}

// AtLeast is a bar whose value must not be below a bound.
func AtLeast(name string, value float64, unit string, least float64) Bar {
	return Bar{Bar: name, Value: value, Unit: unit, Bound: fmt.Sprintf("≥ %g", least), Pass: value >= least}
}

// AtMost is a bar whose value must not be above a bound.
func AtMost(name string, value float64, unit string, most float64) Bar {
	return Bar{Bar: name, Value: value, Unit: unit, Bound: fmt.Sprintf("≤ %g", most), Pass: value <= most}
}

// Refuse withholds judgement: the bar does not pass.
func (b Bar) Refuse(why string) Bar {
	b.Refused, b.Pass = why, false
	return b
}

// TooFew says why samples do not suffice for a claim about the q-quantile, and
// is empty when they do: at least 10 must lie beyond it.
func TooFew(samples int, q float64) string {
	need := int(math.Ceil(10/(1-q) - 1e-6))
	if samples >= need {
		return ""
	}
	return fmt.Sprintf("%d samples, %g%% needs %d", samples, 100*q, need)
}

// Quantile of some times, by the nearest rank; it sorts them. None: 0.
func Quantile(times []time.Duration, q float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	rank := int(math.Ceil(q*float64(len(times)) - 1e-9))
	return times[min(max(rank, 1), len(times))-1]
}

// Window counts the requests of a stretch of time.
type Window struct{ All, Part int }

// Share is the part of all, 0 for none.
func (w Window) Share() float64 {
	if w.All == 0 {
		return 0
	}
	return float64(w.Part) / float64(w.All)
}

// Swing is the standard deviation of the windows' shares, in points, less the
// noise that drawing so few requests makes by itself: with share p, a window
// of n requests varies by p(1−p)/n.
func Swing(windows []Window) float64 {
	var sum, noise float64
	for _, w := range windows {
		sum += w.Share()
	}
	mean := sum / float64(len(windows))
	var variance float64
	for _, w := range windows {
		variance += (w.Share() - mean) * (w.Share() - mean)
		noise += mean * (1 - mean) / float64(max(w.All, 1))
	}
	variance /= float64(max(len(windows)-1, 1))
	noise /= float64(len(windows))
	return 100 * math.Sqrt(max(variance-noise, 0))
}

// Recovered is the moment after which all of consecutive values are good: the
// end of the last bad one, 0 when none is bad. last says that the last one is
// bad: it never recovered.
func Recovered(good []bool, width time.Duration) (at time.Duration, last bool) {
	for i, ok := range good {
		if !ok {
			at, last = time.Duration(i+1)*width, i == len(good)-1
		}
	}
	return at, last
}
