//go:build linux

package lab

import (
	"fmt"
	"slices"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/test/overload/judge"
)

// lead of a region, as its agents see it: others do not care.
func (x *exercise) lead(region string) (*agent, error) {
	for _, asked := range x.region(region).agents {
		if !asked.proc.Running() {
			continue
		}
		var ans admin.RegionsAnswer
		if err := asked.get(x.ctx, admin.PathRegions, &ans); err != nil {
			return nil, err
		}
		for _, r := range ans.Regions {
			for _, a := range x.region(region).agents {
				if r.Name == region && r.Lead == a.name {
					return a, nil
				}
			}
		}
	}
	return nil, fmt.Errorf("region %s has no lead", region)
}

func (x *exercise) gatewaysKilled() error {
	r := x.region("eu-2")
	lead, err := x.lead("eu-2")
	if err != nil {
		return err
	}
	fellows := slices.DeleteFunc(slices.Clone(r.agents), func(a *agent) bool { return a == lead })
	from := time.Now()
	for _, a := range append([]*agent{lead}, fellows...) {
		if err := x.killAndRestart(a); err != nil {
			return err
		}
	}
	mended := time.Now()
	if err := x.settle(mended); err != nil {
		return err
	}
	if err := x.pause(5 * time.Second); err != nil {
		return err
	}
	until := time.Now().Add(-5 * time.Second)
	x.keptAll(from, until)
	living := x.pick(from, until, x.living)
	x.success("all at living edges succeeded within 1 s", living, time.Second, 99, from, until)
	x.success("critical at living edges succeeded", x.pick(from, until, x.livingCritical), 5*time.Second, 99.9, from, until)
	for _, o := range x.absences[:x.judgedKills()] {
		x.fleetBack(o.agent.name, o.from, until, func(a *agent) bool { return a == o.agent })
	}
	x.steadyPlans(x.agents())
	return nil
}

// judgedKills: a device that loses agents one after the other within half a minute
// becomes more patient with each, so only the first counts where they come so fast.
func (x *exercise) judgedKills() int {
	if x.opt.short {
		return 1
	}
	return len(x.absences)
}

// killAndRestart is what a crash and a supervisor do.
func (x *exercise) killAndRestart(a *agent) error {
	const supervisor, devicesNotice = 2 * time.Second, time.Second
	wasLead, err := x.lead(a.region.name)
	if err != nil {
		return err
	}
	killed := x.mark("SIGKILL to " + a.name)
	a.proc.Kill()
	if wasLead == a {
		if err := x.newLead(a, killed); err != nil {
			return err
		}
	}
	if err := x.pause(time.Until(killed.Add(supervisor))); err != nil {
		return err
	}
	x.mark(a.name + " is started again")
	if err := a.startReady(x.ctx); err != nil {
		return err
	}
	x.absences = append(x.absences, absence{a, killed, time.Now().Add(devicesNotice), true})
	return x.pause(x.long(32*time.Second, 5*time.Second))
}

// newLead judges how soon a fellow of a killed lead leads.
func (x *exercise) newLead(was *agent, killed time.Time) error {
	err := await(x.ctx, 10*time.Second, func() error {
		now, err := x.lead(was.region.name)
		if err == nil && now == was {
			return fmt.Errorf("%s is still the lead", was.name)
		}
		return err
	})
	x.bar(judge.AtMost("another agent leads", time.Since(killed).Seconds(), "s", 3), killed, time.Now())
	return err
}
