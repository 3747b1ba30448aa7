package drill

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/tidegate/tidegate/agent/load"
)

// What agents count of the messages that come to them from devices and services.
const (
	requestsTotal  = "tidegate_requests_total"
	requestBuckets = "tidegate_request_seconds_bucket"
	thresholds     = "tidegate_admission_threshold"
)

// shedOutcomes are those of messages refused for now. What unfitOutcomes name was
// refused for what it is, and says nothing of the mesh: it does not count.
var (
	shedOutcomes = []string{"overload", "queue-full", "displaced", "deadline", "expired",
		"rate-limited", "no-policy", "no-region", "no-instance", "draining"}
	unfitOutcomes = []string{"no-route", "access-denied", "unknown-device", "bad-request", "body-failed", "unknown-command", "service-refused"}
)

// outcomeSeen is an outcome as agents count it.
func outcomeSeen(name string) (outcome load.Outcome, counts bool) {
	switch {
	case name == "ok":
		return load.Succeeded, true
	case slices.Contains(shedOutcomes, name):
		return load.Shed, true
	}
	return load.Failed, !slices.Contains(unfitOutcomes, name)
}

// seen counts the messages in scope by outcome.
type seen struct{ succeeded, shed, failed float64 }

func (s *seen) all() float64 { return s.succeeded + s.shed + s.failed }

func (r *record) seen(s *scope) (sum seen) {
	from, until := r.window(s)
	r.agents.each(requestsTotal, s.edge, func(of *series) {
		outcome, counts := outcomeSeen(of.labels["outcome"])
		if !counts || s.class != "" && s.class != of.labels["class"] {
			return
		}
		switch n := of.increase(from, until); outcome {
		case load.Succeeded:
			sum.succeeded += n
		case load.Shed:
			sum.shed += n
		default:
			sum.failed += n
		}
	})
	return sum
}

func percentOf(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * part / whole
}

func (r *record) successSeen(i *Invariant) (percent float64, samples int, note string) {
	s := r.seen(&i.scope)
	return percentOf(s.succeeded, s.all()), int(math.Round(s.all())), ""
}

func (r *record) shedSeen(i *Invariant) (percent float64, samples int, note string) {
	s := r.seen(&i.scope)
	return percentOf(s.shed, s.all()), int(math.Round(s.all())), ""
}

func (r *record) failedSeen(i *Invariant) (count float64, samples int, note string) {
	s := r.seen(&i.scope)
	return s.failed, int(math.Round(s.all())), ""
}

// servedSeen is how many messages each region served well.
func (r *record) servedSeen(s *scope) map[string]float64 {
	from, until := r.window(s)
	by := map[string]float64{}
	r.agents.each(requestsTotal, s.edge, func(of *series) {
		if of.labels["outcome"] == "ok" && (s.class == "" || s.class == of.labels["class"]) {
			by[of.labels["region"]] += of.increase(from, until)
		}
	})
	return by
}

func (r *record) shareSeen(i *Invariant) (percent float64, samples int, note string) {
	all, by := 0.0, r.servedSeen(&i.scope)
	for _, n := range by {
		all += n
	}
	return percentOf(by[i.region], all), int(math.Round(all)), ""
}

func (r *record) p99Seen(i *Invariant) (ms float64, samples int, note string) {
	all := r.bucketsSeen(&i.scope)
	if len(all) == 0 || all[len(all)-1].count == 0 {
		return 0, 0, ""
	}
	return 1000 * quantileOf(all, 0.99), int(math.Round(all[len(all)-1].count)), ""
}

// bucket counts what took at most so many seconds.
type bucket struct{ upTo, count float64 }

func (r *record) bucketsSeen(s *scope) []bucket {
	from, until := r.window(s)
	counts := map[float64]float64{}
	r.agents.each(requestBuckets, s.edge, func(of *series) {
		upTo, err := strconv.ParseFloat(of.labels["le"], 64)
		if err == nil && (s.class == "" || s.class == of.labels["class"]) {
			counts[upTo] += of.increase(from, until)
		}
	})
	var all []bucket
	for upTo, count := range counts {
		all = append(all, bucket{upTo, count})
	}
	slices.SortFunc(all, func(a, b bucket) int { return cmp.Compare(a.upTo, b.upTo) })
	return all
}

// quantileOf is interpolated within the bucket that it lies in, as Prometheus'
// histogram_quantile does; beyond the last one it is that one's bound.
func quantileOf(all []bucket, q float64) float64 {
	rank := q * all[len(all)-1].count
	below := bucket{}
	for _, b := range all {
		if b.count >= rank && b.count > 0 {
			if math.IsInf(b.upTo, 1) {
				return below.upTo
			}
			return below.upTo + (b.upTo-below.upTo)*(rank-below.count)/(b.count-below.count)
		}
		below = b
	}
	return below.upTo
}

// wanted are the series that a drill asks agents for.
func (d *Drill) wanted() []string {
	all := []string{thresholds}
	if d.Observe {
		all = append(all, requestsTotal, requestBuckets)
	}
	for n := range d.Aborts {
		all = append(all, d.Aborts[n].series.name)
	}
	for n := range d.Invariants {
		all = append(all, d.Invariants[n].series.name)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(name string) bool { return name == "" })
}

// clock is when an answer counts that came at a time: what is seen after the time
// line happened on it.
func (r *run) clock(at time.Time) time.Time {
	if end := r.end.Load(); end != nil && at.After(*end) {
		return *end
	}
	return at
}
