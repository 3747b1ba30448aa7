package drill

import (
	"math"
	"slices"
	"time"

	"github.com/tidegate/tidegate/agent/load"
)

func (r *record) success(i *Invariant) (percent float64, samples int, note string) {
	return r.portion(i, func(res *load.Result) bool {
		return res.Outcome() == load.Succeeded && (i.within == 0 || res.Latency <= i.within)
	})
}

// shed is the part that was refused for now in the end, retries included.
func (r *record) shed(i *Invariant) (percent float64, samples int, note string) {
	return r.portion(i, func(res *load.Result) bool { return res.Outcome() == load.Shed })
}

func (r *record) portion(i *Invariant, counts func(*load.Result) bool) (percent float64, samples int, note string) {
	some := 0
	r.each(&i.scope, func(res *load.Result, _ time.Duration) {
		samples++
		if counts(res) {
			some++
		}
	})
	return 100 * float64(some) / float64(max(samples, 1)), samples, ""
}

// failed counts what neither succeeded nor was refused for now.
func (r *record) failed(i *Invariant) (count float64, samples int, note string) {
	r.each(&i.scope, func(res *load.Result, _ time.Duration) {
		samples++
		if res.Outcome() == load.Failed {
			count++
		}
	})
	return count, samples, ""
}

func (r *record) p99(i *Invariant) (ms float64, samples int, note string) {
	ms, samples = r.quantile(&i.scope, 0.99, answered)
	return ms, samples, ""
}

func (r *record) p999(i *Invariant) (ms float64, samples int, note string) {
	ms, samples = r.quantile(&i.scope, 0.999, answered)
	return ms, samples, ""
}

func answered(res *load.Result) bool { return res.Err == nil }

func succeeded(res *load.Result) bool { return res.Outcome() == load.Succeeded }

// slowdown is p99.9 of successes over the same before the first step.
func (r *record) slowdown(i *Invariant) (times float64, samples int, note string) {
	before := i.scope
	before.from, before.until = 0, firstStep(r.steps)
	base, _ := r.quantile(&before, 0.999, succeeded)
	now, samples := r.quantile(&i.scope, 0.999, succeeded)
	if base == 0 {
		return 0, samples, "nothing of this succeeded before the first step"
	}
	return now / base, samples, ""
}

// quantile is of latencies, by nearest rank.
func (r *record) quantile(s *scope, q float64, counts func(*load.Result) bool) (ms float64, samples int) {
	var all []time.Duration
	r.each(s, func(res *load.Result, _ time.Duration) {
		if counts(res) {
			all = append(all, res.Latency)
		}
	})
	return nearestRank(all, q)
}

// nearestRank is a quantile, in ms.
func nearestRank(all []time.Duration, q float64) (ms float64, samples int) {
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	rank := int(math.Ceil(q * float64(len(all))))
	return float64(all[rank-1].Microseconds()) / 1000, len(all)
}

// otherReasons are those of refusals for now that have nothing to do with
// capacity.
var otherReasons = []string{"no-policy", "no-region", "no-instance"}

// firstShed is how many seconds after the invariant's moment each region's
// edges had refused something for its capacity: the slowest region's.
func (r *record) firstShed(i *Invariant) (seconds float64, samples int, note string) {
	first := map[string]time.Duration{}
	r.each(&i.scope, func(res *load.Result, at time.Duration) {
		samples++
		then, known := first[res.Edge]
		if !known {
			first[res.Edge], then = math.MaxInt64, math.MaxInt64
		}
		if res.Refused > 0 && !slices.Contains(otherReasons, res.Reason) {
			first[res.Edge] = min(then, at+res.Refused-i.scope.from)
		}
	})
	for edge, after := range first {
		if after == math.MaxInt64 {
			return (i.scope.until - i.scope.from).Seconds(), samples, "nothing was shed at " + edge
		}
		seconds = max(seconds, after.Seconds())
	}
	return seconds, samples, ""
}
