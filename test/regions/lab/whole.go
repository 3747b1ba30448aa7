//go:build linux

package lab

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/policy"
)

// awaitWhole waits until every agent sees all regions, agents and services.
func (m *mesh) awaitWhole(ctx context.Context) error {
	return await(ctx, 90*time.Second, func() error {
		for _, a := range m.agents() {
			if err := a.missing(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// missing says what keeps an agent from seeing the whole mesh.
func (a *agent) missing(ctx context.Context) error {
	if err := a.missingRegion(ctx); err != nil {
		return err
	}
	if err := a.missingTunnel(ctx); err != nil {
		return err
	}
	return a.missingService(ctx)
}

func (a *agent) missingRegion(ctx context.Context) error {
	var ans admin.RegionsAnswer
	if err := a.get(ctx, admin.PathRegions, &ans); err != nil {
		return err
	}
	seen := map[string]admin.Region{}
	for _, r := range ans.Regions {
		seen[r.Name] = r
	}
	for _, r := range a.region.mesh.regions {
		switch got := seen[r.name]; {
		case got.State != policy.RegionAlive.String():
			return fmt.Errorf("agent %s: region %s is %q: %s", a.name, r.name, got.State, got.Reason)
		case got.Agents != agentsEach:
			return fmt.Errorf("agent %s: region %s has %d of %d agents", a.name, r.name, got.Agents, agentsEach)
		case got.PolicyVersion == "":
			return fmt.Errorf("agent %s: region %s has no policy", a.name, r.name)
		case r != a.region && got.RTTSeconds == nil:
			return fmt.Errorf("agent %s: region %s is at no distance", a.name, r.name)
		}
	}
	return nil
}

func (a *agent) missingTunnel(ctx context.Context) error {
	var ans admin.MembersAnswer
	if err := a.get(ctx, admin.PathMembers, &ans); err != nil {
		return err
	}
	tunnels := map[string]bool{}
	for _, other := range ans.Members {
		if other.Tunnel != "" {
			tunnels[other.Region] = true
		}
	}
	for _, r := range a.region.mesh.regions {
		if r != a.region && !tunnels[r.name] {
			return fmt.Errorf("agent %s: no tunnel to %s", a.name, r.name)
		}
	}
	return nil
}

func (a *agent) missingService(ctx context.Context) error {
	var ans admin.ServicesAnswer
	if err := a.get(ctx, admin.PathServices, &ans); err != nil {
		return err
	}
	if ans.Catalog.Stale {
		return fmt.Errorf("agent %s: the catalog is stale: %s", a.name, ans.Catalog.Error)
	}
	ready := map[string]int{}
	for _, s := range ans.Services {
		ready[s.Name+" in "+a.region.name] = s.Ready
		for _, r := range s.Regions {
			ready[s.Name+" in "+r.Region] = r.Ready
		}
	}
	for _, r := range a.region.mesh.regions {
		for _, s := range sampleServices {
			if key := s.name + " in " + r.name; s.in(r.name) && ready[key] != instancesEach {
				return fmt.Errorf("agent %s: %d of %d ready instances of %s", a.name, ready[key], instancesEach, key)
			}
		}
	}
	return nil
}

// distance is a round trip that an agent measures to a region.
type distance struct {
	Event    string  `json:"event"` // distance
	Agent    string  `json:"agent"`
	Region   string  `json:"region"`
	Set      float64 `json:"set_ms"`
	Measured float64 `json:"measured_ms"`
}

// off is how far the figure is from what was set, in milliseconds.
func (d *distance) off() float64 { return math.Abs(d.Measured - d.Set) }

// near says that it is off by a quarter at most, for agents change what they hold
// a distance to be when it is off by that (policy.SteadyRTT), and by what they
// wait for a CPU.
func (d *distance) near() bool {
	const waiting = 5 // ms
	return d.off() <= d.Set/4+waiting
}

// tellDistances says how far each agent finds each other region: the figure
// nearest to what was set, until all are near or some time is over.
func (m *mesh) tellDistances(ctx context.Context) error {
	const within = 10 * time.Second
	best := map[string]distance{}
	err := await(ctx, within, func() error {
		for _, a := range m.agents() {
			measured, err := a.distances(ctx)
			if err != nil {
				return err
			}
			for _, d := range measured {
				if so, seen := best[d.Agent+d.Region]; !seen || d.off() < so.off() {
					best[d.Agent+d.Region] = d
				}
			}
		}
		for _, d := range best {
			if !d.near() {
				return fmt.Errorf("agent %s finds region %s %.1f ms away, set are %g: the machine is busy", d.Agent, d.Region, d.Measured, d.Set)
			}
		}
		return nil
	})
	for _, key := range slices.Sorted(maps.Keys(best)) {
		m.out.event(best[key])
	}
	if err != nil && ctx.Err() == nil {
		m.out.say("%s", err)
	}
	return ctx.Err()
}

// distances an agent measures to other regions.
func (a *agent) distances(ctx context.Context) (found []distance, err error) {
	var ans admin.RegionsAnswer
	if err := a.get(ctx, admin.PathRegions, &ans); err != nil {
		return nil, err
	}
	for _, r := range ans.Regions {
		if set := distanceBetween(a.region.name, r.Name); set > 0 && r.RTTSeconds != nil {
			found = append(found, distance{"distance", a.name, r.Name, 1000 * set.Seconds(), 1000 * *r.RTTSeconds})
		}
	}
	return found, nil
}

// distanceBetween two regions, 0 from one to itself.
func distanceBetween(a, b string) time.Duration {
	return max(distances[[2]string{a, b}], distances[[2]string{b, a}])
}
