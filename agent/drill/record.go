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
		(s.class == "" || s.class == res.Kind.Class.String()) &&
		(s.tenant == "" || s.tenant == res.Tenant) &&
		(s.edge == "" || s.edge == res.Edge)
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

// flaps is the most that one agent's plan for one service changed between two
// events.
func (r *record) flaps(*Invariant) (most float64, samples int, note string) {
	for n := 1; n < len(r.plans); n++ {
		for agent, services := range r.plans[n] {
			for service, count := range services {
				samples++
				most = max(most, count-r.plans[n-1][agent][service])
			}
		}
	}
	return most, samples, ""
}
