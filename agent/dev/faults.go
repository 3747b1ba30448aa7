package dev

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/transport/fault"
)

// Cut loses everything that leaves or enters a region's agents, gossip and
// devices included, and everything between them: the region sinks.
func (m *Mesh) Cut(region string) error {
	r, err := m.Region(region)
	if err != nil {
		return err
	}
	return m.network.Add(fault.Rule{ID: "cut " + region, From: fault.Party{Addrs: m.addrs(r.Agents...)}, Drop: 1})
}

// Heal ends a Cut.
func (m *Mesh) Heal(region string) { m.network.Remove("cut " + region) }

// Crash ends an agent without a word: its packets are lost before it stops.
func (m *Mesh) Crash(name string) error {
	m.running.Lock()
	defer m.running.Unlock()
	return m.crash(name)
}

func (m *Mesh) crash(name string) error {
	_, a, err := m.find(name)
	if err != nil {
		return err
	}
	if a.Agent == nil {
		return nil
	}
	rule := fault.Rule{ID: "crash " + name, From: fault.Party{Addrs: m.addrs(a)}, Drop: 1}
	if err := m.network.Add(rule); err != nil {
		return err
	}
	err = a.Close()
	a.Agent = nil
	return err
}

// Restart brings a crashed agent back at its addresses.
func (m *Mesh) Restart(ctx context.Context, name string) error {
	m.running.Lock()
	defer m.running.Unlock()
	return m.restart(ctx, name)
}

func (m *Mesh) restart(ctx context.Context, name string) error {
	r, a, err := m.find(name)
	if err != nil {
		return err
	}
	m.network.Remove("crash " + name)
	if a.Agent != nil {
		return nil
	}
	return m.startAgent(ctx, r, a)
}

// FailService makes every instance of a service in a region fail, or work.
func (m *Mesh) FailService(region, service string, on bool) error {
	return m.each(region, service, func(i *Instance) { i.Fail(on) })
}

// SlowService sets how long a service's instances in a region take.
func (m *Mesh) SlowService(region, service string, d time.Duration) error {
	return m.each(region, service, func(i *Instance) { i.SetLatency(d) })
}

// SetCapacity leaves a share of what the instances of a service in a region can
// serve at a time, 1 for all of it; service empty: of every service. What a
// service has is rounded to whole requests over its instances together.
func (m *Mesh) SetCapacity(region, service string, share float64) error {
	r, err := m.Region(region)
	if err != nil {
		return err
	}
	of := map[string][]*Instance{}
	for _, i := range r.Instances {
		if service == "" || i.Service == service {
			of[i.Service] = append(of[i.Service], i)
		}
	}
	if len(of) == 0 {
		return fmt.Errorf("%w: region %s has no service %q", ErrConfig, region, service)
	}
	for _, instances := range of {
		spread(instances, share)
	}
	return nil
}

// spread gives each instance its part of a share of what all have, differences
// of at most one.
func spread(instances []*Instance, share float64) {
	whole := 0
	for _, i := range instances {
		whole += i.capacity
	}
	left := int(math.Round(float64(whole) * share))
	for n, i := range instances {
		part := left / (len(instances) - n)
		left -= part
		i.SetCapacity(part)
	}
}

func (m *Mesh) each(region, service string, do func(*Instance)) error {
	r, err := m.Region(region)
	if err != nil {
		return err
	}
	found := false
	for _, i := range r.Instances {
		if i.Service == service {
			do(i)
			found = true
		}
	}
	if !found {
		return fmt.Errorf("%w: region %s has no service %q", ErrConfig, region, service)
	}
	return nil
}

// Region finds a region by name.
func (m *Mesh) Region(name string) (*Region, error) {
	for _, r := range m.Regions {
		if r.Name == name {
			return r, nil
		}
	}
	return nil, fmt.Errorf("%w: no region %q", ErrConfig, name)
}

func (m *Mesh) find(name string) (*Region, *Agent, error) {
	for _, r := range m.Regions {
		for _, a := range r.Agents {
			if a.Name == name {
				return r, a, nil
			}
		}
	}
	return nil, nil, fmt.Errorf("%w: no agent %q", ErrConfig, name)
}

func (m *Mesh) addrs(agents ...*Agent) []netip.AddrPort {
	var all []netip.AddrPort
	for _, a := range agents {
		for _, port := range []int{a.ports.edge, a.ports.mesh, a.ports.lan, a.ports.wan} {
			all = append(all, m.addrPort(port))
		}
	}
	return all
}

// cutOff lists the regions that are cut off by faults.
func (m *Mesh) cutOff() (regions []string) {
	for _, f := range m.Faults() {
		if f.Kind == admin.FaultRegionOutage {
			regions = append(regions, f.Region)
		}
	}
	return regions
}

// Override gives an operator's word on a region through the first agent that
// lives and is not cut off. Errors are of kind policy.ErrInvalid when it makes no sense.
func (m *Mesh) Override(ctx context.Context, o admin.OverrideRequest) error {
	cut := m.cutOff()
	m.running.Lock()
	defer m.running.Unlock()
	for _, r := range m.Regions {
		if slices.Contains(cut, r.Name) {
			continue
		}
		for _, a := range r.Agents {
			if a.Agent != nil {
				_, err := a.Override(ctx, o)
				return err
			}
		}
	}
	return fmt.Errorf("%w: no agent is alive to tell", ErrConfig)
}
