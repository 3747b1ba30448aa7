package drill

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/tidegate/tidegate/agent/dev"
	"github.com/tidegate/tidegate/agent/load"
)

// Report is the outcome of a drill.
type Report struct {
	Drill      string       `json:"drill"`
	Pass       bool         `json:"pass"`
	Invariants []Verdict    `json:"invariants"`
	Seconds    float64      `json:"seconds"`
	Load       *load.Report `json:"load"`
}

// Options of a run.
type Options struct {
	Progress io.Writer    // a line an event; nil: silent
	Logger   *slog.Logger // of the agents
	Seed     uint64
}

// startLimit bounds how long the mesh may take to come up.
const startLimit = 20 * time.Second

// Run starts the drill's mesh, applies load and faults on the time line, and
// judges. The error says that the drill could not be carried out; a broken
// invariant is no error.
func Run(ctx context.Context, d *Drill, opts Options) (*Report, error) {
	if opts.Progress == nil {
		opts.Progress = io.Discard
	}
	began := time.Now()
	soon, cancel := context.WithTimeout(ctx, startLimit)
	mesh, err := dev.Start(soon, d.meshConfig(opts))
	cancel()
	if err != nil {
		return nil, err
	}
	defer mesh.Close()
	fmt.Fprintf(opts.Progress, "drill %s: %s\n  mesh of %d regions ready in %.1f s\n", d.Name, d.Hypothesis, len(mesh.Regions), time.Since(began).Seconds())
	r := &run{Drill: d, mesh: mesh, out: opts.Progress, record: &record{steps: d.Steps}}
	rep, err := r.carryOut(ctx, opts.Seed)
	if err != nil {
		return nil, err
	}
	report := &Report{Drill: d.Name, Pass: true, Seconds: time.Since(began).Seconds(), Load: rep}
	for n := range d.Invariants {
		v := d.Invariants[n].judge(r.record)
		report.Pass = report.Pass && v.Pass
		report.Invariants = append(report.Invariants, v)
	}
	if !rep.OnTime {
		report.Pass = false
		report.Invariants = append(report.Invariants, Verdict{Name: "the generator kept its schedule", Unit: "ms late", Value: rep.LateP99, Bound: 10,
			Note: "no judgement: the load was not what the drill asks for"})
	}
	return report, nil
}

func (d *Drill) meshConfig(opts Options) dev.Config {
	cfg := dev.Config{Regions: d.Mesh.Regions, Agents: d.Mesh.Agents, Policy: d.Mesh.policy, Logger: opts.Logger}
	for _, s := range d.Mesh.Services {
		cfg.Services = append(cfg.Services, dev.Service{Name: s.Name, Regions: s.Regions, Instances: s.Instances})
	}
	return cfg
}

// run is one drill under way.
type run struct {
	*Drill
	mesh   *dev.Mesh
	out    io.Writer
	record *record
}

// carryOut runs load and time line side by side.
func (r *run) carryOut(ctx context.Context, seed uint64) (*load.Report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.record.began = time.Now()
	r.record.plans = append(r.record.plans, r.countPlans())
	timeline := make(chan error, 1)
	go func() {
		err := r.follow(ctx)
		if err != nil {
			cancel()
		}
		timeline <- err
	}()
	rep, err := load.Run(ctx, load.Config{
		Edges: r.mesh.Edges(), Kinds: r.Load.kinds, Devices: r.Load.Devices, Rate: r.Load.Rate, Duration: r.Duration,
		TLS: r.mesh.TLS(), Identity: r.mesh.Identity, Seed: seed, Observe: r.record.add,
	})
	cancel()
	if terr := <-timeline; terr != nil {
		return nil, terr
	}
	r.record.plans = append(r.record.plans, r.countPlans())
	return rep, err
}

// event is a fault's beginning or end.
type event struct {
	at  time.Duration
	say string
	do  func(context.Context, *dev.Mesh) error
}

func (d *Drill) events() []event {
	var all []event
	for _, s := range d.Steps {
		all = append(all, event{s.At, s.Fault.String(), s.Fault.begin})
		if s.For > 0 {
			all = append(all, event{s.At + s.For, "over: " + s.Fault.String(), s.Fault.end})
		}
	}
	slices.SortStableFunc(all, func(a, b event) int { return int(a.at - b.at) })
	return all
}

// follow carries out the events; it ends with the last one or with ctx.
func (r *run) follow(ctx context.Context) error {
	for _, e := range r.events() {
		wait := time.NewTimer(time.Until(r.record.began.Add(e.at)))
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-wait.C:
		}
		r.record.plans = append(r.record.plans, r.countPlans())
		fmt.Fprintf(r.out, "  %5.1f s  %s\n", e.at.Seconds(), e.say)
		if err := e.do(ctx, r.mesh); err != nil {
			return fmt.Errorf("drill %s: %s: %w", r.Name, e.say, err)
		}
	}
	return nil
}

// countPlans reads every living agent's counters.
func (r *run) countPlans() planCount {
	counts := planCount{}
	for _, region := range r.mesh.Regions {
		for _, a := range region.Agents {
			if a.Agent == nil {
				continue
			}
			for service, n := range a.PlanChanges() {
				counts[a.Name+" "+service] = n
			}
		}
	}
	return counts
}

// Print writes the report for people, verdicts first.
func (rep *Report) Print(w io.Writer) {
	verdict := "PASS"
	if !rep.Pass {
		verdict = "FAIL"
	}
	fmt.Fprintf(w, "\n%s  drill %s, %.0f s\n", verdict, rep.Drill, rep.Seconds)
	for _, v := range rep.Invariants {
		mark := "held  "
		if !v.Pass {
			mark = "BROKEN"
		}
		fmt.Fprintf(w, "  %s  %-52s %10.3f %-8s bound %g (%d samples)", mark, v.Name, v.Value, v.Unit, v.Bound, v.Samples)
		if v.Note != "" {
			fmt.Fprint(w, "  ", v.Note)
		}
		fmt.Fprintln(w)
	}
	if rep.Load != nil {
		rep.Load.Print(w)
	}
}
