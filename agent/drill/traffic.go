package drill

import (
	"math"
	"time"

	"github.com/tidegate/tidegate/agent/load"
)

// Traffic has returned in the first second in which a region serves returnShare
// of what it served before the first fault, if no later second falls below
// lapseShare and all of them together hold returnShare: single seconds vary
// with the mix of messages.
const (
	returnShare = 0.9
	lapseShare  = 0.5
)

// returned is how many seconds after the invariant's moment traffic is back.
func (r *record) returned(i *Invariant) (seconds float64, samples int, note string) {
	before := i.scope
	before.from, before.until = 0, firstStep(r.steps)
	usual := r.shares(&before, i.region, before.until)[0]
	if usual.own == 0 {
		return 0, usual.all, "the region served nothing of this before the fault"
	}
	at, since := -1, part{}
	after := r.shares(&i.scope, i.region, time.Second)
	for second, s := range after {
		samples += s.all
		switch {
		case s.of() < lapseShare*usual.of():
			at, since = -1, part{}
		case at < 0 && s.of() >= returnShare*usual.of():
			at = second
		}
		if at >= 0 {
			since.own, since.all = since.own+s.own, since.all+s.all
		}
	}
	if at < 0 || since.of() < returnShare*usual.of() {
		return float64(len(after)), samples, "traffic has not returned"
	}
	return float64(at + 1), samples, ""
}

// part is how many successes there were, and how many a region served.
type part struct{ own, all int }

func (s part) of() float64 { return float64(s.own) / float64(max(s.all, 1)) }

// shares counts a region's part of the successes in scope, window by window;
// what is left of a window at the end does not count.
func (r *record) shares(s *scope, region string, window time.Duration) []part {
	all := make([]part, max(int((s.until-s.from)/max(window, 1)), 1))
	r.each(s, func(res *load.Result, at time.Duration) {
		n := int((at - s.from) / max(window, 1))
		if res.Outcome() != load.Succeeded || n >= len(all) {
			return
		}
		all[n].all++
		if res.Region == region {
			all[n].own++
		}
	})
	return all
}

// share is the percentage of the successes that the region served.
func (r *record) share(i *Invariant) (percent float64, samples int, note string) {
	whole := r.shares(&i.scope, i.region, i.scope.until-i.scope.from)[0]
	return 100 * whole.of(), whole.all, ""
}

// bySecond lists the region's share of the successes, in points, of each second
// that has any.
func (r *record) bySecond(i *Invariant) (points []float64, noise float64, samples int) {
	for _, s := range r.shares(&i.scope, i.region, time.Second) {
		if s.all == 0 {
			continue
		}
		samples += s.all
		points = append(points, 100*s.of())
		noise += 100 * 100 * s.of() * (1 - s.of()) / float64(s.all)
	}
	return points, noise / float64(max(len(points), 1)), samples
}

// swing is the standard deviation of the region's share over seconds, less the
// variance that drawing so few requests has by itself (binomial).
func (r *record) swing(i *Invariant) (points float64, samples int, note string) {
	all, noise, samples := r.bySecond(i)
	mean, variance := 0.0, 0.0
	for _, p := range all {
		mean += p / float64(len(all))
	}
	for _, p := range all {
		variance += (p - mean) * (p - mean) / float64(len(all))
	}
	return math.Sqrt(max(variance-noise, 0)), samples, ""
}

// jump is the most that the region's share changes from a second to the next.
func (r *record) jump(i *Invariant) (points float64, samples int, note string) {
	all, _, samples := r.bySecond(i)
	for n := 1; n < len(all); n++ {
		points = max(points, math.Abs(all[n]-all[n-1]))
	}
	return points, samples, ""
}

// reversals counts how often the region's share turns round: after it rose by
// the invariant's points, it falls by as many, or the other way.
func (r *record) reversals(i *Invariant) (times float64, samples int, note string) {
	all, _, samples := r.bySecond(i)
	if len(all) == 0 {
		return 0, 0, ""
	}
	low, high, way := all[0], all[0], 0
	for _, p := range all {
		low, high = min(low, p), max(high, p)
		switch {
		case way >= 0 && p <= high-i.by:
			if way > 0 {
				times++
			}
			way, low, high = -1, p, p
		case way <= 0 && p >= low+i.by:
			if way < 0 {
				times++
			}
			way, low, high = 1, p, p
		}
	}
	return times, samples, ""
}
