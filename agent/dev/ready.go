package dev

import (
	"context"
	"fmt"
	"time"
)

// WaitReady waits until every agent is ready and gives traffic to every region.
func (m *Mesh) WaitReady(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		waiting := m.waitingFor()
		if waiting == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("dev mesh: not ready: %s: %w", waiting, ctx.Err())
		case <-tick.C:
		}
	}
}

func (m *Mesh) waitingFor() string {
	m.running.Lock()
	defer m.running.Unlock()
	for _, r := range m.Regions {
		for _, a := range r.Agents {
			if reason := m.missing(r, a); reason != "" {
				return a.Name + ": " + reason
			}
		}
	}
	return ""
}

func (m *Mesh) missing(r *Region, a *Agent) string {
	if a.Agent == nil {
		return ""
	}
	if ok, reason := a.Ready(); !ok {
		return reason
	}
	missing := map[string]int{}
	for _, i := range r.Instances {
		missing[i.Service]++
	}
	for service, ready := range a.ReadyInstances() {
		if n := missing[service] - ready; n > 0 {
			return fmt.Sprintf("%d instances of %s are not ready", n, service)
		}
	}
	return a.Missing(len(m.Regions) - 1)
}
