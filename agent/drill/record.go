package drill

import (
	"slices"
	"sync"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
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

// planCount is how often each agent had changed its plan for each service.
type planCount map[string]map[string]float64

func (r *record) add(res load.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, res)
}

func (s *scope) includes(res *load.Result, at time.Duration) bool {
	return at >= s.from && at < s.until &&
		(len(s.kinds) == 0 || slices.Contains(s.kinds, res.Kind.Name)) &&
		(s.class == "" || s.class == res.Kind.Class.String())
}

// each calls do with every result in scope and when it was due.
func (r *record) each(s *scope, do func(*load.Result, time.Duration)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n := range r.results {
		res := &r.results[n]
		at := res.Due.Sub(r.began)
		if s.includes(res, at) && !(s.surviving && r.edgeLost(res, at)) {
			do(res, at)
		}
	}
}

// settle is how long after an edge is back its devices may need to notice, and
// how long before its loss a request may have been under way; for so long it
// does not count as surviving.
const settle = 5 * time.Second

func (r *record) edgeLost(res *load.Result, at time.Duration) bool {
	for n := range r.steps {
		s := &r.steps[n]
		if s.cutsOff(res) && at >= s.At-settle && (s.For == 0 || at < s.At+s.For+settle) {
			return true
		}
	}
	return false
}

// cutsOff says whether devices cannot reach the edge of a result meanwhile.
func (s *Step) cutsOff(res *load.Result) bool {
	return s.Fault.Kind == admin.FaultRegionOutage && s.Fault.Region == res.Edge ||
		s.Fault.Kind == admin.FaultAgentCrash && s.Fault.Agent == res.Agent
}

func (r *record) success(i *Invariant) (percent float64, samples int) {
	good := 0
	r.each(&i.scope, func(res *load.Result, _ time.Duration) {
		samples++
		if res.Outcome() == load.Succeeded && (i.within == 0 || res.Latency <= i.within) {
			good++
		}
	})
	return 100 * float64(good) / float64(max(samples, 1)), samples
}

// p99 is of answers, by nearest rank.
func (r *record) p99(i *Invariant) (ms float64, samples int) {
	var all []time.Duration
	r.each(&i.scope, func(res *load.Result, _ time.Duration) {
		if res.Err == nil {
			all = append(all, res.Latency)
		}
	})
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	rank := (len(all)*99 + 99) / 100
	return float64(all[rank-1].Microseconds()) / 1000, len(all)
}

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
	before.from, before.until = 0, r.firstFault()
	usual := r.shares(&before, i.region, before.until)[0]
	if usual.own == 0 {
		return 0, usual.all, "the region served nothing of this before the fault"
	}
	at, since := -1, share{}
	after := r.shares(&i.scope, i.region, time.Second)
	for second, s := range after {
		samples += s.all
		switch {
		case s.of() < lapseShare*usual.of():
			at, since = -1, share{}
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

func (r *record) firstFault() time.Duration {
	first := r.steps[0].At
	for _, s := range r.steps {
		first = min(first, s.At)
	}
	return first
}

// share is how many successes there were, and how many a region served.
type share struct{ own, all int }

func (s share) of() float64 { return float64(s.own) / float64(max(s.all, 1)) }

// shares counts a region's part of the successes in scope, window by window;
// what is left of a window at the end does not count.
func (r *record) shares(s *scope, region string, window time.Duration) []share {
	all := make([]share, max(int((s.until-s.from)/max(window, 1)), 1))
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

// flaps is the most that one agent's plan for one service changed between two
// events.
func (r *record) flaps() (most float64, samples int) {
	for n := 1; n < len(r.plans); n++ {
		for agent, services := range r.plans[n] {
			for service, count := range services {
				samples++
				most = max(most, count-r.plans[n-1][agent][service])
			}
		}
	}
	return most, samples
}
