//go:build linux

package lab

import (
	"fmt"
	"syscall"
	"time"

	"github.com/tidegate/tidegate/test/overload/judge"
)

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
