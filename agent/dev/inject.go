package dev

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
)

// maxInjected bounds the faults in force at a time.
const maxInjected = 64

// endLimit bounds how long the end of a fault may take when its time is over.
const endLimit = 20 * time.Second

// injected is a fault in force.
type injected struct {
	admin.Fault
	until   time.Time
	removed chan struct{} // closed when it was lifted
}

// CheckFault says whether a fault makes sense in this mesh. Errors are of kind
// policy.ErrInvalid.
func (m *Mesh) CheckFault(f admin.Fault) error {
	if err := f.Check(); err != nil {
		return err
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
	m.life.Lock()
	defer m.life.Unlock()
	if err := m.roomFor(&f); err != nil {
		return err
	}
	if err := m.begin(&f); err != nil {
		return err
	}
	span := time.Duration(f.Seconds * float64(time.Second))
	i := &injected{f, time.Now().Add(span), make(chan struct{})}
	m.injected = append(m.injected, i)
	m.expiries.Go(func() { m.expire(context.WithoutCancel(ctx), i, span) })
	if share, over := f.Capacity(); over > 0 {
		m.expiries.Go(func() { m.shift(i, share, over) })
	}
	return nil
}

// shiftEvery is how often a capacity moves that moves over time.
const shiftEvery = 100 * time.Millisecond

// shift moves a capacity evenly to a share of the whole, until it is there or
// the fault is over.
func (m *Mesh) shift(i *injected, share float64, over time.Duration) {
	began := time.Now()
	tick := time.NewTicker(shiftEvery)
	defer tick.Stop()
	for done := 0.0; done < 1; {
		select {
		case <-i.removed:
			return
		case <-m.closing:
			return
		case <-tick.C:
		}
		done = min(time.Since(began).Seconds()/over.Seconds(), 1)
		m.shiftTo(i, 1+(share-1)*done)
	}
}

func (m *Mesh) shiftTo(i *injected, share float64) {
	m.life.Lock()
	defer m.life.Unlock()
	if !slices.Contains(m.injected, i) {
		return
	}
	if err := m.SetCapacity(i.Region, i.Service, share); err != nil {
		m.cfg.Logger.Error("capacity not changed", "id", i.ID, "error", err)
	}
}

func (m *Mesh) roomFor(f *admin.Fault) error {
	if m.closed {
		return fmt.Errorf("%w: the mesh is closing", admin.ErrConflict)
	}
	for _, other := range m.injected {
		if other.ID == f.ID || other.Clashes(f) {
			return fmt.Errorf("%w: fault %q (%s) is in force for %.0f s more", admin.ErrConflict,
				other.ID, other.String(), time.Until(other.until).Seconds())
		}
	}
	if len(m.injected) >= maxInjected {
		return fmt.Errorf("%w: %d faults are in force already: remove some", admin.ErrConflict, maxInjected)
	}
	return nil
}

// expire ends a fault when its time is over.
func (m *Mesh) expire(ctx context.Context, i *injected, after time.Duration) {
	timer := time.NewTimer(after)
	defer timer.Stop()
	select {
	case <-i.removed:
		return
	case <-m.closing:
		return
	case <-timer.C:
	}
	m.life.Lock()
	defer m.life.Unlock()
	if m.closed || !slices.Contains(m.injected, i) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, endLimit)
	defer cancel()
	if err := m.lift(ctx, i); err != nil {
		m.cfg.Logger.Error("fault not ended", "id", i.ID, "error", err)
	}
}

// RemoveFault ends a fault early.
func (m *Mesh) RemoveFault(ctx context.Context, id string) error {
	m.life.Lock()
	defer m.life.Unlock()
	at := slices.IndexFunc(m.injected, func(i *injected) bool { return i.ID == id })
	if at < 0 || m.closed {
		return fmt.Errorf("%w: no fault %q is in force", admin.ErrNotFound, id)
	}
	return m.lift(ctx, m.injected[at])
}

// lift takes a fault off the list and ends it. The caller holds life.
func (m *Mesh) lift(ctx context.Context, i *injected) error {
	m.injected = slices.DeleteFunc(m.injected, func(other *injected) bool { return other == i })
	close(i.removed)
	return m.end(ctx, &i.Fault)
}

// Faults lists those in force, oldest first.
func (m *Mesh) Faults() []admin.ActiveFault {
	m.life.Lock()
	defer m.life.Unlock()
	all := make([]admin.ActiveFault, len(m.injected))
	for n, i := range m.injected {
		all[n] = admin.ActiveFault{Fault: i.Fault, RemainingSeconds: time.Until(i.until).Seconds()}
	}
	return all
}

// stopFaults lets nothing begin or end any more; what is in force goes with
// the mesh.
func (m *Mesh) stopFaults() {
	m.life.Lock()
	if !m.closed {
		m.closed = true
		close(m.closing)
	}
	m.life.Unlock()
	m.expiries.Wait()
}

func (m *Mesh) begin(f *admin.Fault) error {
	switch f.Kind {
	case admin.FaultRegionOutage:
		return m.Cut(f.Region)
	case admin.FaultAgentCrash:
		return m.crash(f.Agent)
	case admin.FaultInstanceFailure:
		return m.FailService(f.Region, f.Service, true)
	case admin.FaultLatency:
		return m.Delay(f.From, f.To, f.Span())
	case admin.FaultSlowService:
		return m.SlowService(f.Region, f.Service, f.Span())
	case admin.FaultCapacity:
		if share, over := f.Capacity(); over == 0 {
			return m.SetCapacity(f.Region, f.Service, share)
		}
	}
	return nil
}

func (m *Mesh) end(ctx context.Context, f *admin.Fault) error {
	switch f.Kind {
	case admin.FaultRegionOutage:
		m.Heal(f.Region)
	case admin.FaultAgentCrash:
		return m.restart(ctx, f.Agent)
	case admin.FaultInstanceFailure:
		return m.FailService(f.Region, f.Service, false)
	case admin.FaultLatency:
		return m.Delay(f.From, f.To, 0)
	case admin.FaultSlowService:
		return m.SlowService(f.Region, f.Service, m.cfg.Latency)
	case admin.FaultCapacity:
		return m.SetCapacity(f.Region, f.Service, 1)
	}
	return nil
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
