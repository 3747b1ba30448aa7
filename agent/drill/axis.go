package drill

import (
	"math"
	"strconv"

	"github.com/tidegate/tidegate/policy"
)

// upTo is an axis from nothing to what holds the highest value and a little more, in
// round steps.
func upTo(highest float64) *axis {
	highest *= 1.05
	step := roundStep(max(highest, 1e-9) / 3)
	a := &axis{high: step * math.Ceil(max(highest, step)/step), label: plain}
	for v := 0.0; v <= a.high+step/2; v += step {
		a.ticks = append(a.ticks, v)
	}
	return a
}

// roundStep is the next number that is 1, 2 or 5 times a power of ten.
func roundStep(least float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(least)))
	for _, factor := range []float64{1, 2, 5} {
		if factor*power >= least {
			return factor * power
		}
	}
	return 10 * power
}

// percentAxis begins where the values do, so that small losses are seen.
func percentAxis(lowest float64) *axis {
	a := &axis{high: 100, label: func(v float64) string { return plain(v) + "%" }}
	for _, low := range []float64{50, 80, 90, 95, 99} {
		if lowest >= low {
			a.low = low
		}
	}
	for n := range 5 {
		a.ticks = append(a.ticks, a.low+(a.high-a.low)*float64(n)/4)
	}
	return a
}

// msAxis is logarithmic, in powers of ten.
func msAxis(lowest, highest float64) *axis {
	a := &axis{log: true, label: milliseconds}
	a.low = math.Pow(10, math.Floor(math.Log10(max(lowest, 0.1))))
	a.high = math.Pow(10, math.Ceil(math.Log10(max(highest, 10*a.low))))
	for v := a.low; v <= a.high*1.01; v *= 10 {
		a.ticks = append(a.ticks, v)
	}
	return a
}

func milliseconds(v float64) string {
	if v >= 1000 {
		return plain(v/1000) + " s"
	}
	return plain(v) + " ms"
}

// rankAxis is marked by the lowest rank of each class.
func rankAxis() *axis {
	names := map[float64]string{0: "all pass", float64(policy.MaxRank): "none"}
	a := &axis{high: float64(policy.MaxRank), ticks: []float64{0}}
	for _, c := range policy.Classes() {
		lowest := float64(policy.RankOf(c, 0, true, false))
		names[lowest] = c.String()
		a.ticks = append(a.ticks, lowest)
	}
	a.ticks = append(a.ticks, a.high)
	a.label = func(v float64) string { return names[v] }
	return a
}

func plain(v float64) string { return strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64) }

// times are marked under a chart, about ten of them.
func (t *timeline) times() (all []tick) {
	from, span := t.from.Seconds(), float64(len(t.slots))*t.width.Seconds()
	step := max(roundStep(span/14), 1)
	for n := int(math.Ceil(from / step)); step*float64(n) <= from+span; n++ {
		v := step * float64(n)
		all = append(all, tick{t.x((v - from) / t.width.Seconds()), plain(v) + " s"})
	}
	return all
}
