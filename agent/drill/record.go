package drill

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/load"
)

// record is everything that happened during a drill.
type record struct {
	began     time.Time // the time line
	steps     []Step
	observing bool // what agents count is all there is

	mu      sync.Mutex // guards results and pending
	results []load.Result
	pending map[number]load.Result // requests under way

	plans    []planCount // at the beginning, at each event, at the end
	agents   *telemetry
	journals *journals // nil: there is no ledger
}

// number is how a request is told from all others of a drill.
type number struct {
	device string
	n      uint64
}

// planCount is how often each agent had changed its plan for each service.
type planCount map[string]map[string]float64

func newRecord(steps []Step) *record {
	return &record{steps: steps, pending: map[number]load.Result{}, agents: newTelemetry()}
}

func (r *record) launched(res load.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending[number{res.Device, res.Number}] = res
}

func (r *record) add(res load.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.pending, number{res.Device, res.Number})
	r.results = append(r.results, res)
}

var errOverdue = errors.New("not answered yet")

// live is the record of requests due in a window that ends now. What has been under
// way for longer than patience counts as failed, what has not does not count.
func (r *record) live(from, until time.Duration) *record {
	w := &record{began: r.began, steps: r.steps, observing: r.observing, agents: r.agents}
	begin, end := r.began.Add(from), r.began.Add(until)
	r.mu.Lock()
	defer r.mu.Unlock()
	for n := len(r.results) - 1; n >= 0; n-- {
		res := &r.results[n]
		if answered := res.Due.Add(res.Latency); answered.Before(begin.Add(-disorder)) {
			break
		}
		if !res.Due.Before(begin) && res.Due.Before(end) {
			w.results = append(w.results, *res)
		}
	}
	for _, res := range r.pending {
		if !res.Due.Before(begin) && res.Due.Add(patience).Before(end) {
			res.Err, res.Latency = errOverdue, end.Sub(res.Due)
			w.results = append(w.results, res)
		}
	}
	return w
}

// disorder bounds how much later than the next ones a result may be recorded.
const disorder = time.Second

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
