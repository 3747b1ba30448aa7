//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/test/chaos/schedule"
)

// begin breaks what an event says, and sets how it is mended.
func (c *chaos) begin(ctx context.Context, p *played) (err error) {
	switch p.Fault {
	case schedule.Isolate:
		p.undo = c.do("reset " + p.On[0] + " *")
		return c.wan.Do("isolate " + p.On[0])
	case schedule.Cut, schedule.OneWay, schedule.Degrade:
		p.undo = c.do("reset " + p.On[0] + " " + p.On[1])
		return c.wan.Do(networkLine(&p.Event))
	case schedule.KillRegion:
		r := c.region(p.On[0])
		p.undo = r.startAgain
		return r.net.Kill()
	case schedule.KillLead, schedule.PauseLead:
		if p.agent, err = c.leadOf(ctx, p.On[0]); err != nil {
			return err
		}
		return c.harm(ctx, p)
	case schedule.KillAgent, schedule.RestartAgent, schedule.PauseAgent, schedule.DrainAgent:
		p.agent = c.agent(p.On[0])
		return c.harm(ctx, p)
	case schedule.KillConsul, schedule.PauseConsul:
		return c.breakConsul(p)
	case schedule.KillServices, schedule.SlowServices:
		return c.breakServices(ctx, p)
	case schedule.BadPolicy:
		return c.spoilPolicy(ctx, p)
	case schedule.NewPolicy:
		return c.changePolicy(ctx, p)
	}
	return fmt.Errorf("%w: fault %s is not known here", schedule.ErrInvalid, p.Fault)
}

func networkLine(e *schedule.Event) string {
	switch e.Fault {
	case schedule.OneWay:
		return "cut " + e.On[0] + "->" + e.On[1]
	case schedule.Cut:
		return "cut " + e.On[0] + " " + e.On[1]
	}
	words := "set " + e.On[0] + " " + e.On[1]
	for _, word := range e.How {
		words += " " + word
	}
	return words
}

func (c *chaos) do(line string) func(context.Context) error {
	return func(context.Context) error { return c.wan.Do(line) }
}

// startAgain starts everything in a region that was killed.
func (r *region) startAgain(ctx context.Context) error {
	if err := r.launchConsul(); err != nil {
		return err
	}
	if err := r.launchServices(); err != nil {
		return err
	}
	if err := r.startAgents(ctx); err != nil {
		return err
	}
	return await(ctx, time.Minute, func() error { return r.register(ctx) })
}

func (c *chaos) harm(ctx context.Context, p *played) error {
	a := p.agent
	switch p.Fault {
	case schedule.PauseAgent, schedule.PauseLead:
		p.undo = func(context.Context) error { return a.proc.Cmd.Process.Signal(syscall.SIGCONT) }
		return a.proc.Cmd.Process.Signal(syscall.SIGSTOP)
	case schedule.DrainAgent:
		p.undo = func(ctx context.Context) error { return c.command(ctx, "undrain", "--admin", a.adminAddr()) }
		return c.command(ctx, "drain", "--admin", a.adminAddr())
	case schedule.RestartAgent:
		p.undo = a.startAgain
		return a.end(ctx)
	}
	p.undo = a.startAgain
	a.proc.Kill()
	return nil
}

func (a *agent) startAgain(ctx context.Context) error {
	if err := a.start(); err != nil {
		return err
	}
	return await(ctx, 30*time.Second, func() error { return a.get(ctx, admin.PathHealth, nil) })
}

func (m *mesh) agent(name string) *agent {
	for _, a := range m.agents() {
		if a.name == name {
			return a
		}
	}
	return nil
}

// leadOf a region, as those of its agents see it that nothing harms now.
func (c *chaos) leadOf(ctx context.Context, region string) (*agent, error) {
	var found *agent
	err := await(ctx, 10*time.Second, func() error {
		for _, a := range c.region(region).agents {
			if c.harmed(a, time.Now(), time.Now(), 0) {
				continue
			}
			var ans admin.RegionsAnswer
			if err := a.get(ctx, admin.PathRegions, &ans); err != nil {
				return err
			}
			for _, r := range ans.Regions {
				if found = c.agent(r.Lead); r.Name == region && found != nil {
					return nil
				}
			}
		}
		return errNoLead
	})
	return found, err
}

func (c *chaos) consuls(name string) (regions []*region) {
	if name == schedule.All {
		return c.regions
	}
	return []*region{c.region(name)}
}

func (c *chaos) breakConsul(p *played) (err error) {
	some := c.consuls(p.On[0])
	if p.Fault == schedule.PauseConsul {
		p.undo = func(context.Context) error { return signalConsuls(some, syscall.SIGCONT) }
		return signalConsuls(some, syscall.SIGSTOP)
	}
	for _, r := range some {
		r.consul.Kill()
	}
	p.undo = func(context.Context) (err error) {
		for _, r := range some {
			err = errors.Join(err, r.launchConsul())
		}
		return err
	}
	return nil
}

func signalConsuls(some []*region, signal syscall.Signal) (err error) {
	for _, r := range some {
		err = errors.Join(err, r.consul.Cmd.Process.Signal(signal))
	}
	return err
}

// slowAnswer is what an instance takes that is slow: many times what it takes
// otherwise, and less than the checks and the promises allow.
const slowAnswer = 50 * time.Millisecond

func (c *chaos) breakServices(ctx context.Context, p *played) error {
	r := c.region(p.On[0])
	if p.Fault == schedule.SlowServices {
		p.undo = func(ctx context.Context) error { return r.setPace(ctx, 0, 0) }
		return r.setPace(ctx, slowAnswer, 0)
	}
	p.undo = func(context.Context) error { return r.launchServices() }
	r.services.Kill()
	return nil
}
