package agent

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidegate/tidegate/policy"
)

// admissions holds what decides who is let through: for each target of the
// policy one admission to this region and one to each other region that was
// asked for it, the demand for it, and its quota. They come into being when
// first asked for and go with the policy or the region. Safe for concurrent use;
// looking up does not lock.
type admissions struct {
	shed   *prometheus.CounterVec
	queues sync.Pool // of *queued

	mu    sync.Mutex // held while table or a gate's far doors are replaced
	gates atomic.Pointer[map[string]*gate]
}

// gate is what one target has.
type gate struct {
	target string
	demand policy.Demand // of devices and services here, before any decision
	local  *door
	far    atomic.Pointer[map[string]*door] // by region
	quota  atomic.Pointer[quota]
	shed   shedCounters
}

// door is the admission to a target in one region.
type door struct {
	*policy.Admission
	region string // empty: this one
}

// quota is a target's, of the rule that it was made for.
type quota struct {
	*policy.Quota
	rule policy.QuotaRule
}

// Before anything is learned this many requests may be in flight. It must not
// refuse what a service that has just been found, or a region that traffic has
// just moved to, could take; the far agent decides for itself.
const (
	startLocal = 64
	startFar   = 256
)

func newAdmissions(shed *prometheus.CounterVec) *admissions {
	s := &admissions{shed: shed, queues: sync.Pool{New: newQueued}}
	s.gates.Store(&map[string]*gate{})
	return s
}

func newDoor(region string, start int) *door {
	cfg := policy.DefaultAdmissionConfig()
	cfg.StartLimit = start
	return &door{Admission: policy.NewAdmission(cfg, time.Now()), region: region}
}

// gate returns that of a target, "service" or "service/subset".
func (s *admissions) gate(target string) *gate {
	if g := (*s.gates.Load())[target]; g != nil {
		return g
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := *s.gates.Load()
	if g := old[target]; g != nil {
		return g
	}
	g := &gate{target: target, local: newDoor("", startLocal)}
	g.far.Store(&map[string]*door{})
	next := maps.Clone(old)
	next[target] = g
	s.gates.Store(&next)
	return g
}

// door returns that of a target in another region.
func (s *admissions) door(g *gate, region string) *door {
	if d := (*g.far.Load())[region]; d != nil {
		return d
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := *g.far.Load()
	if d := old[region]; d != nil {
		return d
	}
	next := maps.Clone(old)
	next[region] = newDoor(region, startFar)
	g.far.Store(&next)
	return next[region]
}

// local returns the admission to a target's instances here, for what comes from
// devices and from the mesh.
func (s *admissions) local(target string) *policy.Admission { return s.gate(target).local.Admission }

// remote returns the admission to a target in another region.
func (s *admissions) remote(target, region string) *policy.Admission {
	return s.door(s.gate(target), region).Admission
}

// demand is what is asked for here, in requests a second by class.
func (s *admissions) demand(target string) [4]float64 { return s.gate(target).demand.Rates() }

// each calls f for every admission there is; region is empty for this one.
func (s *admissions) each(f func(target, region string, a *policy.Admission)) {
	for target, g := range *s.gates.Load() {
		f(target, "", g.local.Admission)
		for region, d := range *g.far.Load() {
			f(target, region, d.Admission)
		}
	}
}

// quotaOf returns the target's quota under a rule, a new one when the rule is.
func (g *gate) quotaOf(rule policy.QuotaRule) *policy.Quota {
	now := g.quota.Load()
	if now != nil && now.rule == rule {
		return now.Quota
	}
	g.quota.CompareAndSwap(now, &quota{policy.NewQuota(rule.Share), rule})
	return g.quota.Load().Quota
}

// run ticks every admission until ctx ends.
func (s *admissions) run(ctx context.Context, view func() *policy.View) {
	tick := time.NewTicker(policy.DefaultAdmissionConfig().Window)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.prune(view())
		s.tick(time.Now())
	}
}

func (s *admissions) tick(now time.Time) {
	for _, g := range *s.gates.Load() {
		g.demand.Tick(now)
	}
	s.each(func(_, _ string, a *policy.Admission) { a.Tick(now) })
}

// prune forgets targets that left the policy and regions that left the mesh.
// Who is still on the way keeps what it holds.
func (s *admissions) prune(v *policy.View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gates := *s.gates.Load()
	for target, g := range gates {
		if v.Local[target] == nil {
			gates = without(gates, target)
			s.gates.Store(&gates)
			s.shed.DeletePartialMatch(prometheus.Labels{"service": target})
			continue
		}
		for region := range *g.far.Load() {
			if v.Regions[region] == nil {
				far := without(*g.far.Load(), region)
				g.far.Store(&far)
			}
		}
	}
}

func without[V any](all map[string]V, key string) map[string]V {
	rest := maps.Clone(all)
	delete(rest, key)
	return rest
}
