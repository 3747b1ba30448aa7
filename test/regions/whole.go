//go:build linux

package main

import (
	"context"
	"fmt"
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

// distances are the round-trip times an agent measures to other regions.
func (a *agent) distances(ctx context.Context) (map[string]time.Duration, error) {
	var ans admin.RegionsAnswer
	if err := a.get(ctx, admin.PathRegions, &ans); err != nil {
		return nil, err
	}
	found := map[string]time.Duration{}
	for _, r := range ans.Regions {
		if r.RTTSeconds != nil && !r.Local {
			found[r.Name] = time.Duration(*r.RTTSeconds * float64(time.Second))
		}
	}
	return found, nil
}
