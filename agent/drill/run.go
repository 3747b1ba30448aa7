package drill

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidegate/tidegate/agent/load"
	"github.com/tidegate/tidegate/policy"
)

// Options of a run.
type Options struct {
	Progress io.Writer    // a line an event; nil: silent
	Logger   *slog.Logger // of the agents of a mesh of its own
	Seed     uint64
	Running  *Running // the mesh to use; nil: the drill starts its own
}

const (
	// startLimit bounds how long a mesh may take to come up.
	startLimit = 20 * time.Second
	// lateLimit is how late the generator's 99th percentile may start before
	// the load is not what the drill asks for. Below it the rate of each second
	// is right, and as latencies count from when a request was due, lateness can
	// break an invariant but never hold one.
	lateLimit = time.Second
	// stepPrefix begins the IDs of a drill's faults.
	stepPrefix  = "drill: "
	maxStepName = 100 // characters
)

// Run applies load and faults on the time line, and judges. The error says
// that the drill could not be carried out; a broken invariant is no error.
func Run(ctx context.Context, d *Drill, opts Options) (report *Report, err error) {
	if opts.Progress == nil {
		opts.Progress = io.Discard
	}
	began := time.Now()
	m, err := open(ctx, d, opts)
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := m.Close(); err == nil && cerr != nil {
			report, err = nil, fmt.Errorf("drill %s: clean up: %w", d.Name, cerr)
		}
	}()
	fmt.Fprintf(opts.Progress, "drill %s: %s\n  on %s, ready in %.1f s\n", d.Name, d.Hypothesis, m.describe(), time.Since(began).Seconds())
	r := newRun(d, m, opts.Progress)
	if err := r.checkNames(); err != nil {
		return nil, err
	}
	sum, err := r.carryOut(ctx, opts.Seed)
	if err != nil {
		return nil, fmt.Errorf("drill %s: %w", d.Name, err)
	}
	report = r.report(sum)
	report.Seconds = time.Since(began).Seconds()
	return report, nil
}

func open(ctx context.Context, d *Drill, opts Options) (mesh, error) {
	switch {
	case opts.Running != nil:
		return opts.Running.reserve(ctx, d)
	case d.Observe:
		return nil, fmt.Errorf("%w: drill %s observes the traffic of a running mesh: say which", policy.ErrInvalid, d.Name)
	}
	return startOwn(ctx, d, opts)
}

// run is one drill under way.
type run struct {
	*Drill
	mesh   mesh
	out    io.Writer
	record *record
	end    atomic.Pointer[time.Time] // of the time line, once it is known

	steady  []Verdict
	sick    bool      // the steady state did not hold: nothing was broken
	aborted *Abortion // nil: the drill was not given up
}

func newRun(d *Drill, m mesh, out io.Writer) *run {
	r := &run{Drill: d, mesh: m, out: out, record: newRecord(d.Steps)}
	r.record.observing, r.record.journals = d.Observe, m.ledger(d)
	return r
}

// checkNames finds names that the mesh does not know before anything happens.
func (r *run) checkNames() error {
	if err := r.needsLedger(); r.record.journals == nil && err != nil {
		return err
	}
	for n := range r.Steps {
		if err := r.checkStep(&r.Steps[n]); err != nil {
			return fmt.Errorf("drill %s: step %q: %w", r.Name, r.Steps[n].Name, err)
		}
	}
	for n := range r.Invariants {
		if err := r.checkInvariant(&r.Invariants[n]); err != nil {
			return fmt.Errorf("drill %s: invariant %q: %w", r.Name, r.Invariants[n].Name, err)
		}
	}
	for n := range r.Aborts {
		if err := r.checkInvariant(&r.Aborts[n].Invariant); err != nil {
			return fmt.Errorf("drill %s: abort %q: %w", r.Name, r.Aborts[n].Name, err)
		}
	}
	return nil
}

func (r *run) checkInvariant(i *Invariant) error {
	for _, region := range []string{i.region, i.scope.edge} {
		if err := r.mesh.hasRegion(region); region != "" && err != nil {
			return err
		}
	}
	return nil
}

func (r *run) checkStep(s *Step) error {
	switch {
	case s.Order != nil:
		return r.mesh.hasRegion(s.Order.Region)
	case s.Leave != nil:
		return r.mesh.hasRegion(s.Leave.Region)
	case s.Load != nil && s.Load.Region != "":
		return r.mesh.hasRegion(s.Load.Region)
	case s.Load != nil:
		return nil
	}
	return r.mesh.CheckFault(r.fault(s))
}

// carryOut runs load, time line and the sampling of agents side by side.
func (r *run) carryOut(ctx context.Context, seed uint64) (*load.Report, error) {
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	within, over := context.WithCancel(ctx)
	defer over()
	timeline, began := make(chan error, 1), make(chan time.Time, 1)
	var samplers sync.WaitGroup
	for _, w := range r.mesh.witnesses() {
		samplers.Go(func() { r.record.agents.sample(within, w, r.wanted(), r.clock) })
	}
	go func() { timeline <- r.follow(within, over, began) }()
	sum, err := r.traffic(within, seed, began)
	over()
	err = cmp.Or(<-timeline, err, context.Cause(ctx))
	samplers.Wait()
	if err != nil {
		return nil, err
	}
	if err := r.conclude(ctx); err != nil && r.aborted == nil {
		return nil, err
	}
	return sum, nil
}

// prepare looks whether everything can be counted that has to be.
func (r *run) prepare(ctx context.Context) error {
	if r.record.journals != nil {
		if err := r.record.journals.open(ctx); err != nil {
			return err
		}
	}
	return r.notePlans(ctx)
}

func (r *run) conclude(ctx context.Context) error {
	if r.record.journals != nil {
		if err := r.record.journals.close(ctx); err != nil {
			return err
		}
	}
	return r.notePlans(ctx)
}

// traffic is the load, or time for what comes by itself; it ends early with ctx.
func (r *run) traffic(ctx context.Context, seed uint64, began chan<- time.Time) (*load.Report, error) {
	if r.Observe {
		began <- time.Now()
		wait(ctx, r.lead()+r.Duration)
		return nil, nil
	}
	cfg := r.Load
	cfg.Seed, cfg.Launch, cfg.Observe = seed, r.record.launched, r.record.add
	cfg.Begin = func(at time.Time) { began <- at }
	if r.record.journals != nil {
		cfg.Run = r.record.journals.run
	}
	r.mesh.aim(&cfg)
	return load.Run(ctx, cfg)
}

// wait says whether the time went by before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
