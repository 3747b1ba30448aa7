//go:build linux

package lab

import (
	"fmt"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/test/overload/judge"
)

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
