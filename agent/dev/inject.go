package dev

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/inject"
)

// CheckFault says whether a fault makes sense in this mesh. Errors are of kind
// policy.ErrInvalid.
func (m *Mesh) CheckFault(f admin.Fault) error {
	if err := f.Check(); err != nil {
		return err
	}
	if f.Kind == admin.FaultCatalogDown {
		return fmt.Errorf("%w: the catalog of a development mesh is a file: nothing can be down", ErrConfig)
	}
	for _, region := range []string{f.Region, f.From, f.To} {
		if _, err := m.Region(region); region != "" && err != nil {
			return err
		}
	}
	if f.Service != "" {
		return m.each(f.Region, f.Service, func(*Instance) {})
	}
	if f.Agent != "" {
		_, _, err := m.find(f.Agent)
		return err
	}
	return nil
}

// AddFault puts a fault in force until its time is over or RemoveFault ends it.
func (m *Mesh) AddFault(ctx context.Context, f admin.Fault) error {
	if err := m.CheckFault(f); err != nil {
		return err
	}
	return m.faults.AddFault(ctx, f)
}

// RemoveFault ends a fault early.
func (m *Mesh) RemoveFault(ctx context.Context, id string) error {
	return m.faults.RemoveFault(ctx, id)
}

// Faults lists those in force, oldest first.
func (m *Mesh) Faults() []admin.ActiveFault { return m.faults.Faults() }

// begin brings about what a fault says.
func (m *Mesh) begin(f admin.Fault) (inject.End, error) {
	m.running.Lock()
	defer m.running.Unlock()
	switch f.Kind {
	case admin.FaultRegionOutage:
		return ending(func() error { m.Heal(f.Region); return nil }), m.Cut(f.Region)
	case admin.FaultAgentCrash:
		return func(ctx context.Context) error { return m.Restart(ctx, f.Agent) }, m.crash(f.Agent)
	case admin.FaultInstanceFailure:
		return ending(func() error { return m.FailService(f.Region, f.Service, false) }), m.FailService(f.Region, f.Service, true)
	case admin.FaultLatency, admin.FaultLoss, admin.FaultCut:
		return m.disturb(&f)
	case admin.FaultSlowService:
		return ending(func() error { return m.SlowService(f.Region, f.Service, m.cfg.Latency) }), m.SlowService(f.Region, f.Service, f.Span())
	case admin.FaultCapacity:
		return m.shrink(&f)
	}
	return m.beginAtAgents(f)
}

func ending(do func() error) inject.End { return func(context.Context) error { return do() } }

// disturb is what happens to traffic between two regions.
func (m *Mesh) disturb(f *admin.Fault) (inject.End, error) {
	rule := inject.Rule(f)
	return ending(func() error { m.network.Remove(rule.ID); return nil }), m.network.Add(rule)
}

// beginAtAgents has every agent bring its own part about. The caller holds running.
func (m *Mesh) beginAtAgents(f admin.Fault) (inject.End, error) {
	var ends []inject.End
	end := func(ctx context.Context) (err error) {
		for _, end := range ends {
			err = errors.Join(err, end(ctx))
		}
		return err
	}
	for _, r := range m.Regions {
		for _, a := range r.Agents {
			if a.Agent == nil {
				continue
			}
			over, err := a.BeginFault(f)
			if err != nil {
				return nil, errors.Join(err, end(context.Background()))
			}
			ends = append(ends, over)
		}
	}
	return end, nil
}

// shiftEvery is how often a capacity moves that moves over time.
const shiftEvery = 100 * time.Millisecond

// shrink changes a capacity, at once or over time.
func (m *Mesh) shrink(f *admin.Fault) (inject.End, error) {
	share, over := f.Capacity()
	if over == 0 {
		return ending(func() error { return m.SetCapacity(f.Region, f.Service, 1) }), m.SetCapacity(f.Region, f.Service, share)
	}
	ctx, cancel := context.WithCancel(m.life)
	stopped := make(chan struct{})
	m.shifts.Go(func() {
		defer close(stopped)
		m.shift(ctx, f, share, over)
	})
	return ending(func() error {
		cancel()
		<-stopped
		return m.SetCapacity(f.Region, f.Service, 1)
	}), nil
}

// shift moves a capacity evenly to a share of the whole, until it is there or ctx
// ends.
func (m *Mesh) shift(ctx context.Context, f *admin.Fault, share float64, over time.Duration) {
	began := time.Now()
	tick := time.NewTicker(shiftEvery)
	defer tick.Stop()
	for done := 0.0; done < 1; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		done = min(time.Since(began).Seconds()/over.Seconds(), 1)
		if err := m.SetCapacity(f.Region, f.Service, 1+(share-1)*done); err != nil {
			m.cfg.Logger.Error("capacity not changed", "id", f.ID, "error", err)
		}
	}
}

// hooks are the mesh's faults as one of its agents serves them.
type hooks struct {
	*Mesh
	agent string
}

// AddFault is Mesh.AddFault, but an agent cannot crash itself and answer.
func (h hooks) AddFault(ctx context.Context, f admin.Fault) error {
	if f.Kind == admin.FaultAgentCrash && f.Agent == h.agent {
		return fmt.Errorf("%w: %s cannot crash itself and answer: ask another agent", ErrConfig, h.agent)
	}
	return h.Mesh.AddFault(ctx, f)
}
