//go:build linux

package lab

import (
	"fmt"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/test/overload/judge"
)

// operatorToken is for faults. The network is this machine's own.
const operatorToken = "of-the-operator-of-this-run"

// openToFaults starts all agents again, so that they take faults. In other drills
// nothing is to stand between them and their sockets.
func (x *exercise) openToFaults() error {
	return x.startAgain(x.agents(), func(a *agent) { a.faults = true })
}

func (x *exercise) closeToFaults() error {
	return x.startAgain(x.agents(), func(a *agent) { a.faults = false })
}

func (x *exercise) clockJump() error {
	a := x.region("eu-2").agents[1]
	asked := []string{"--admin", a.adminAddr(), "--operator", operatorToken}
	from := x.mark("the clock of " + a.name + " jumps an hour ahead")
	if err := x.command(x.ctx, append([]string{"fault", "add", "clock_jump", "agent=" + a.name, "by=1h", "--for", "5m"}, asked...)...); err != nil {
		return err
	}
	var seen admin.MembersAnswer
	if err := a.get(x.ctx, admin.PathMembers, &seen); err != nil {
		return err
	}
	if err := x.pause(x.long(30*time.Second, 8*time.Second)); err != nil {
		return err
	}
	mended := x.mark("it jumps back")
	if err := x.command(x.ctx, append([]string{"fault", "clear"}, asked...)...); err != nil {
		return err
	}
	if err := x.settle(mended); err != nil {
		return err
	}
	if err := x.pause(x.long(10*time.Second, 5*time.Second)); err != nil {
		return err
	}
	until := time.Now().Add(-5 * time.Second)
	x.bar(judge.AtLeast("faults that it says it has", float64(len(seen.Faults)), "faults", 1), from, mended)
	x.keptAll(from, until)
	x.success("all at every edge succeeded", x.pick(from, until, at(regionNames...)), 5*time.Second, 100, from, until)
	own := x.pick(from, until, func(m *message) bool { return m.Agent == a.name })
	x.bar(judge.AtMost(fmt.Sprintf("failed at its own edge, of %d", len(own)), float64(x.failed(own)), "messages", 0), from, until)
	x.steadyPlans(x.agents())
	return nil
}
