package agent

import (
	"time"

	"github.com/tidegate/tidegate/policy"
)

// An agent that has just started knows its own region at once, the others when its
// fellows have told it of them and tunnels are up. Until then, and no longer than
// youth, a message that only they can serve waits for them.
const (
	youth     = 2 * time.Second
	youngLook = 10 * time.Millisecond // how often it is looked whether there is a way
)

func (a *Agent) young(now time.Time) bool { return now.Sub(a.began) < youth }

// awaitWay returns the message's plan, in a young agent as soon as there is a way to
// follow it. It keeps the view that has it.
func (x *exchange) awaitWay() policy.Plan {
	plan := x.plan()
	if !x.agent.young(x.started) {
		return plan
	}
	for !x.agent.hasWay(&plan) && x.agent.young(time.Now()) {
		select {
		case <-x.r.Context().Done():
			return plan
		case <-time.After(youngLook):
		}
		x.view = x.agent.view.Load()
		plan = x.plan()
	}
	return plan
}

func (x *exchange) plan() policy.Plan {
	d := &x.decision
	return x.view.Plan(d.Target, d.Service.Failover, d.Route.Regions, nil)
}

func (a *Agent) hasWay(plan *policy.Plan) bool {
	for _, leg := range plan.Legs {
		if leg.Local || a.pickTunnel(leg.Region, "") != nil {
			return true
		}
	}
	return false
}
