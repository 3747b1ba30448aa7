//go:build linux

package lab

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidegate/tidegate/agent/admin"
)

// end has the agent leave in its own way, and returns when its process is gone.
func (a *agent) end(ctx context.Context) error {
	const within = 15 * time.Second
	if err := a.proc.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("end agent %s: %w", a.name, err)
	}
	select {
	case <-a.proc.Done():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(within):
		return fmt.Errorf("end agent %s: it still runs after %s", a.name, within)
	}
}

// startReady starts the agent and returns when it may be given traffic.
func (a *agent) startReady(ctx context.Context) error {
	if err := a.start(); err != nil {
		return err
	}
	return await(ctx, 30*time.Second, func() error { return a.get(ctx, admin.PathReady, nil) })
}

// startAgain restarts agents all at once, each changed meanwhile.
func (x *exercise) startAgain(agents []*agent, change func(*agent)) error {
	all, ctx := errgroup.WithContext(x.ctx)
	for _, a := range agents {
		all.Go(func() error {
			if err := a.end(ctx); err != nil {
				return err
			}
			change(a)
			return a.startReady(ctx)
		})
	}
	return all.Wait()
}

// absence is a time in which nothing is to be expected of an agent's edge.
type absence struct {
	agent       *agent
	from, until time.Time
	sudden      bool // what was under way when it began is gone too
}

func (o *absence) holds(m *message) bool {
	began := m.Due
	if o.sudden {
		began = m.Due.Add(m.Took)
	}
	return m.Agent == o.agent.name && !began.Before(o.from) && m.Due.Before(o.until)
}

// living is the sign of what came to an edge that was there.
func (x *exercise) living(m *message) bool {
	for _, o := range x.absences {
		if o.holds(m) {
			return false
		}
	}
	return true
}

func (x *exercise) livingCritical(m *message) bool { return m.critical() && x.living(m) }

// roll restarts agents one after the other, as an upgrade does: each leaves in its
// own way, is changed and comes back.
func (x *exercise) roll(agents []*agent, change func(*agent)) error {
	for _, a := range agents {
		told := x.mark("SIGTERM to " + a.name)
		if err := a.end(x.ctx); err != nil {
			return err
		}
		x.departures = append(x.departures, departure{a, told, time.Now()})
		change(a)
		if err := a.startReady(x.ctx); err != nil {
			return err
		}
		x.absences = append(x.absences, absence{agent: a, from: told, until: time.Now()})
		if err := x.pause(x.long(3*time.Second, time.Second)); err != nil {
			return err
		}
	}
	return nil
}

// departure is when an agent was told to leave, and when its process was gone.
type departure struct {
	agent       *agent
	told, ended time.Time
}

// rolled judges a time in which agents were restarted one after the other.
func (x *exercise) rolled(from, until time.Time) {
	x.keptAll(from, until)
	x.success("all that could be served succeeded", x.pick(from, until, x.living), 5*time.Second, 100, from, until)
	x.told(from, until)
	x.steadyPlans(x.agents())
}
