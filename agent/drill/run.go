package drill

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/load"
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
	r := &run{Drill: d, mesh: m, out: opts.Progress, record: &record{steps: d.Steps}}
	if err := r.checkNames(); err != nil {
		return nil, err
	}
	sum, err := r.carryOut(ctx, opts.Seed)
	if err != nil {
		return nil, fmt.Errorf("drill %s: %w", d.Name, err)
	}
	report = d.judge(r.record, sum)
	report.Seconds = time.Since(began).Seconds()
	return report, nil
}

func open(ctx context.Context, d *Drill, opts Options) (mesh, error) {
	if opts.Running != nil {
		return opts.Running.reserve(ctx, d)
	}
	return startOwn(ctx, d, opts)
}

// run is one drill under way.
type run struct {
	*Drill
	mesh   mesh
	out    io.Writer
	record *record
}

// checkNames finds names that the mesh does not know before anything happens.
func (r *run) checkNames() error {
	for n := range r.Steps {
		if err := r.checkStep(&r.Steps[n]); err != nil {
			return fmt.Errorf("drill %s: step %q: %w", r.Name, r.Steps[n].Name, err)
		}
	}
	for n := range r.Invariants {
		i := &r.Invariants[n]
		for _, region := range []string{i.region, i.scope.edge} {
			if err := r.mesh.hasRegion(region); region != "" && err != nil {
				return fmt.Errorf("drill %s: invariant %q: %w", r.Name, i.Name, err)
			}
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

// carryOut runs load and time line side by side.
func (r *run) carryOut(ctx context.Context, seed uint64) (*load.Report, error) {
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := r.notePlans(ctx); err != nil {
		return nil, err
	}
	timeline, began := make(chan error, 1), make(chan time.Time, 1)
	go func() {
		err := r.follow(within, began)
		if err != nil {
			cancel()
		}
		timeline <- err
	}()
	cfg := r.Load
	cfg.Seed, cfg.Observe = seed, r.record.add
	cfg.Begin = func(at time.Time) { began <- at.Add(r.warmUp) }
	r.mesh.aim(&cfg)
	sum, err := load.Run(within, cfg)
	cancel()
	err = cmp.Or(<-timeline, err, context.Cause(ctx))
	if err != nil {
		return nil, err
	}
	return sum, r.notePlans(ctx)
}

// event is a fault's beginning or end.
type event struct {
	at  time.Duration
	say string
	do  func(context.Context) error
}

func (r *run) events() []event {
	var all []event
	for n := range r.Steps {
		s := &r.Steps[n]
		begin, end := r.doing(s)
		all = append(all, event{s.At, s.String(), begin})
		if s.For > 0 {
			all = append(all, event{s.At + s.For, "over: " + s.String(), end})
		}
	}
	slices.SortStableFunc(all, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	return all
}

// doing is what the beginning and the end of a step do to the mesh. What the
// load does is in its own plan.
func (r *run) doing(s *Step) (begin, end func(context.Context) error) {
	switch {
	case s.Order != nil:
		order, release := r.order(s), admin.OverrideRequest{Action: admin.ActionRelease, Region: s.Order.Region}
		return func(ctx context.Context) error { return r.mesh.order(ctx, order) },
			func(ctx context.Context) error { return r.mesh.order(ctx, release) }
	case s.Load != nil || s.Leave != nil:
		nothing := func(context.Context) error { return nil }
		return nothing, nothing
	}
	f := r.fault(s)
	return func(ctx context.Context) error { return r.mesh.AddFault(ctx, f) },
		func(ctx context.Context) error { return r.mesh.RemoveFault(ctx, f.ID) }
}

// follow carries out the events once the load says when the time line began; it
// ends with the last one or with ctx.
func (r *run) follow(ctx context.Context, began <-chan time.Time) error {
	var start time.Time
	select {
	case <-ctx.Done():
		return nil
	case start = <-began:
		r.record.began = start
	}
	for _, e := range r.events() {
		wait := time.NewTimer(time.Until(start.Add(e.at)))
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-wait.C:
		}
		if err := r.notePlans(ctx); err != nil {
			return err
		}
		fmt.Fprintf(r.out, "  %5.1f s  %s\n", e.at.Seconds(), e.say)
		if err := e.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", e.say, err)
		}
	}
	return nil
}

func (r *run) notePlans(ctx context.Context) error {
	counts, err := r.mesh.planChanges(ctx)
	r.record.plans = append(r.record.plans, counts)
	return err
}
