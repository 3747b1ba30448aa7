package agent

import (
	"context"
	"strings"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// pruneEvery is how long the series of a route or region that is gone may
// stay: messages that were on their way then are still counted.
const pruneEvery = 30 * time.Second

// run forgets what is gone until ctx ends.
func (m *metrics) run(ctx context.Context, view func() *policy.View) {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			m.prune(view())
		}
	}
}

// prune forgets the series of routes, with their class, that left the policy,
// and of regions that left the mesh.
func (m *metrics) prune(v *policy.View) {
	if v.Policy == nil {
		return
	}
	classes := routeClasses(v.Policy)
	m.binding.Lock()
	defer m.binding.Unlock()
	m.bound.Range(func(key, _ any) bool {
		k := key.(boundKey)
		class, ok := classOf(v.Policy, classes, k.route)
		if !ok {
			m.batches.forget(k.route)
		}
		if !ok || class != k.class || !inMesh(v, k.region) {
			m.bound.Delete(k)
			m.requests.DeleteLabelValues(k.route, k.class.String(), k.region, k.outcome)
			m.latency.DeleteLabelValues(k.route, k.class.String(), k.region)
		}
		return true
	})
	m.boundServed.Range(func(key, _ any) bool {
		if k := key.(servedKey); !inMesh(v, k.origin) {
			m.boundServed.Delete(k)
			m.served.DeleteLabelValues(k.origin, k.outcome)
		}
		return true
	})
}

func routeClasses(p *policy.Policy) map[string]policy.Class {
	classes := make(map[string]policy.Class, len(p.Routes()))
	for _, r := range p.Routes() {
		classes[r.Name] = r.Class
	}
	return classes
}

// classOf is the class of a route as series name it: one of the policy, one
// that decideEgress makes up, or none.
func classOf(p *policy.Policy, classes map[string]policy.Class, route string) (class policy.Class, ok bool) {
	if class, ok = classes[route]; ok || route == noRoute {
		return class, true
	}
	service, ok := strings.CutPrefix(route, egressPrefix)
	return egressClass, ok && p.Services()[service] != nil
}

func inMesh(v *policy.View, region string) bool {
	return region == "" || region == v.Region || v.Regions[region] != nil
}
