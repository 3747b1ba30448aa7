package drill

import (
	"slices"
	"sync"
	"time"

	"github.com/tidegate/tidegate/agent/load"
)

// record is everything that happened during a drill.
type record struct {
	began time.Time
	steps []Step

	mu      sync.Mutex // guards results
	results []load.Result

	plans []planCount // at the beginning, at each event, at the end
}

// planCount is how often each (agent, service) had changed its plan so far.
type planCount map[string]float64

func (r *record) add(res load.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, res)
}

func (r *record) due(res *load.Result) time.Duration { return res.Due.Sub(r.began) }

// each calls do with every result in an invariant's scope.
func (r *record) each(i *Invariant, do func(*load.Result)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n := range r.results {
		res := &r.results[n]
		at := r.due(res)
		switch {
		case at < i.from || at >= i.until:
		case len(i.kinds) > 0 && !slices.Contains(i.kinds, res.Kind.Name):
		case i.class != "" && res.Kind.Class.String() != i.class:
		case i.surviving && r.edgeLost(res.Edge, at):
		default:
			do(res)
		}
	}
}

// settle is how long after a region's edge is back its devices may need to
// notice; until then it does not count as surviving.
const settle = 5 * time.Second

func (r *record) edgeLost(region string, at time.Duration) bool {
	for _, s := range r.steps {
		if s.Fault.lost() == region && at >= s.At-settle && (s.For == 0 || at < s.At+s.For+settle) {
			return true
		}
	}
	return false
}

func (r *record) success(i *Invariant) (percent float64, samples int) {
	good := 0
	r.each(i, func(res *load.Result) {
		samples++
		if res.Outcome() == load.Succeeded && (i.within == 0 || res.Latency <= i.within) {
			good++
		}
	})
	return 100 * float64(good) / float64(max(samples, 1)), samples
}

func (r *record) p99(i *Invariant) (ms float64, samples int) {
	var all []time.Duration
	r.each(i, func(res *load.Result) {
		if res.Err == nil {
			all = append(all, res.Latency)
		}
	})
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return float64(all[(len(all)*99)/100].Microseconds()) / 1000, len(all)
}

// returned finds the first second after the invariant's moment from which the
// region serves its share of before again, until the end.
func (r *record) returned(i *Invariant) (seconds float64, samples int, note string) {
	before := Invariant{until: r.steps[0].At, kinds: i.kinds, class: i.class, surviving: i.surviving}
	share, n := r.share(&before, i.region)
	if n == 0 || share == 0 {
		return 0, n, "the region served nothing of this before the fault"
	}
	at := -1
	last := int((i.until - i.from) / time.Second)
	for second := range last {
		from := i.from + time.Duration(second)*time.Second
		now, count := r.share(&Invariant{from: from, until: from + time.Second, kinds: i.kinds, class: i.class, surviving: i.surviving}, i.region)
		samples += count
		switch {
		case now < i.minimumShare*share:
			at = -1
		case at < 0:
			at = second
		}
	}
	if at < 0 {
		return float64(last), samples, "traffic has not returned"
	}
	return float64(at + 1), samples, ""
}

// share of the successful requests in scope that a region served.
func (r *record) share(i *Invariant, region string) (share float64, samples int) {
	served := 0
	r.each(i, func(res *load.Result) {
		if res.Outcome() == load.Succeeded {
			samples++
			if res.Region == region {
				served++
			}
		}
	})
	return float64(served) / float64(max(samples, 1)), samples
}

// flaps is the most that one agent's plan for one service changed between two
// events.
func (r *record) flaps() (most float64, samples int) {
	for n := 1; n < len(r.plans); n++ {
		for key, count := range r.plans[n] {
			samples++
			most = max(most, count-r.plans[n-1][key])
		}
	}
	return most, samples
}
