//go:build linux

package lab

import (
	"fmt"
	"syscall"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/test/overload/judge"
)

func allDrills() []drill {
	return []drill{
		{"region-cut", "eu-2 is cut off from regions and devices: what needed it succeeds elsewhere within 1 s, and returns", (*exercise).regionCut},
		{"region-killed", "everything in eu-2 is killed, Consul too: what needed it succeeds elsewhere within 1 s, and returns", (*exercise).regionKilled},
		{"consul-down", "the Consul server of eu-1, then all of them are down: no request fails for it", (*exercise).consulDown},
		{"asymmetric", "what eu-1 sends to eu-2 is lost, the other way works: what needed eu-2 succeeds elsewhere within 1 s", (*exercise).asymmetric},
		{"lossy", "20% loss and up to 200 ms more delay each way between eu-1 and us-1: no region is given up, nothing flaps", (*exercise).lossy},
		{"paused", "the lead of eu-2 is paused for 5 s: no region is given up, other edges do not notice", (*exercise).paused},
	}
}

func (x *exercise) regionCut() error {
	lost, err := x.change("isolate eu-2")
	if err != nil {
		return err
	}
	if err := x.pause(x.long(30*time.Second, 8*time.Second)); err != nil {
		return err
	}
	mended, err := x.change("heal")
	if err != nil {
		return err
	}
	return x.afterLoss(lost, mended)
}

func (x *exercise) afterLoss(lost, mended time.Time) error {
	if err := x.settle(mended); err != nil {
		return err
	}
	if err := x.returned(mended); err != nil {
		return err
	}
	if err := x.pause(5 * time.Second); err != nil { // until all is answered, or timed out
		return err
	}
	x.elsewhere(lost, mended)
	x.steadyPlans(x.agentsOf("eu-1", "us-1"))
	return nil
}

func (x *exercise) regionKilled() error {
	r := x.region("eu-2")
	lost := x.mark("SIGKILL to all in eu-2")
	if err := r.net.Kill(); err != nil {
		return err
	}
	if err := x.pause(x.long(30*time.Second, 8*time.Second)); err != nil {
		return err
	}
	mended := x.mark("all in eu-2 is started again")
	if err := r.launchConsul(); err != nil {
		return err
	}
	if err := r.launchServices(); err != nil {
		return err
	}
	if err := r.startAgents(x.ctx); err != nil {
		return err
	}
	if err := await(x.ctx, time.Minute, func() error { return r.register(x.ctx) }); err != nil {
		return err
	}
	return x.afterLoss(lost, mended)
}

func (x *exercise) consulDown() error {
	whole := x.long(time.Minute, 10*time.Second)
	for _, who := range [][]string{{"eu-1"}, regionNames} {
		from := x.mark(fmt.Sprintf("SIGKILL to Consul in %v", who))
		for _, name := range who {
			x.region(name).consul.Kill()
		}
		if err := x.pause(whole); err != nil {
			return err
		}
		stale := x.stale(who)
		mended := x.mark("Consul is started again")
		for _, name := range who {
			if err := x.region(name).launchConsul(); err != nil {
				return err
			}
		}
		if err := x.settle(mended); err != nil {
			return err
		}
		if err := x.pause(5 * time.Second); err != nil {
			return err
		}
		until := time.Now().Add(-5 * time.Second)
		x.bar(judge.AtLeast(fmt.Sprintf("Consul down in %v: agents that say their catalog is stale", who), float64(stale), "agents", float64(agentsEach*len(who))), from, mended)
		x.success(fmt.Sprintf("Consul down in %v: all succeeded", who), x.pick(from, until, at(regionNames...)), 5*time.Second, 100, from, until)
		x.keptAll(from, until)
	}
	x.steadyPlans(x.agents())
	return nil
}

// stale counts the agents of some regions that admit to route on what they knew.
func (x *exercise) stale(regions []string) (n int) {
	for _, a := range x.agentsOf(regions...) {
		var ans admin.ServicesAnswer
		if a.get(x.ctx, admin.PathServices, &ans) == nil && ans.Catalog.Stale {
			n++
		}
	}
	return n
}

func (x *exercise) asymmetric() error {
	lost, err := x.change("cut eu-1->eu-2")
	if err != nil {
		return err
	}
	if err := x.pause(x.long(30*time.Second, 8*time.Second)); err != nil {
		return err
	}
	mended, err := x.change("heal")
	if err != nil {
		return err
	}
	if err := x.settle(mended); err != nil {
		return err
	}
	if err := x.returned(mended); err != nil {
		return err
	}
	if err := x.pause(5 * time.Second); err != nil {
		return err
	}
	until := mended.Add(-time.Second)
	x.success("what needed eu-2 succeeded within 1 s", x.pick(lost, until, needsEU2), time.Second, 99, lost, mended)
	x.success("all at every edge succeeded within 1 s", x.pick(lost, until, at(regionNames...)), time.Second, 99, lost, mended)
	x.success("critical succeeded", x.pick(lost, until, criticalAt(regionNames...)), 5*time.Second, 99.9, lost, mended)
	x.detected("eu-2", x.agentsOf("eu-1"), lost, mended)
	x.steadyPlans(x.agents())
	return nil
}

func (x *exercise) lossy() error {
	// 40 ms become 40 to 240.
	from, err := x.change("set eu-1 us-1 delay=140ms jitter=100ms loss=20%")
	if err != nil {
		return err
	}
	if err := x.pause(x.long(time.Minute, 15*time.Second)); err != nil {
		return err
	}
	mended, err := x.change("reset")
	if err != nil {
		return err
	}
	if err := x.settle(mended); err != nil {
		return err
	}
	if err := x.pause(5 * time.Second); err != nil {
		return err
	}
	until := time.Now().Add(-5 * time.Second)
	x.keptAll(from, until)
	x.success("all succeeded", x.pick(from, until, at(regionNames...)), 5*time.Second, 99.9, from, until)
	x.steadyPlans(x.agents())
	return nil
}

// lead of a region, as its agents see it: others do not care.
func (x *exercise) lead(region string) (*agent, error) {
	var ans admin.RegionsAnswer
	if err := x.region(region).agents[0].get(x.ctx, admin.PathRegions, &ans); err != nil {
		return nil, err
	}
	for _, r := range ans.Regions {
		for _, a := range x.region(region).agents {
			if r.Name == region && r.Lead == a.name {
				return a, nil
			}
		}
	}
	return nil, fmt.Errorf("region %s has no lead", region)
}

func (x *exercise) paused() error {
	lead, err := x.lead("eu-2")
	if err != nil {
		return err
	}
	from := x.mark("SIGSTOP to " + lead.name)
	if err := lead.proc.Cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	err = x.pause(5 * time.Second)
	mended := x.mark("SIGCONT to " + lead.name)
	if cont := lead.proc.Cmd.Process.Signal(syscall.SIGCONT); err != nil || cont != nil {
		return err
	}
	if err := x.settle(mended); err != nil {
		return err
	}
	if err := x.pause(x.long(15*time.Second, 5*time.Second)); err != nil {
		return err
	}
	until := time.Now().Add(-5 * time.Second)
	others := x.pick(from, until, func(m *message) bool { return m.Agent != lead.name })
	x.keptAll(from, until)
	x.success("all at other edges succeeded within 1 s", others, time.Second, 99, from, until)
	x.success("all at other edges succeeded", others, 5*time.Second, 99.9, from, until)
	own := x.pick(mended.Add(3*time.Second), until, func(m *message) bool { return m.Agent == lead.name })
	x.bar(judge.AtMost(fmt.Sprintf("failed at its own edge from 3 s after, of %d", len(own)), float64(x.failed(own)), "messages", 0), mended, until)
	x.steadyPlans(x.agents())
	return nil
}
