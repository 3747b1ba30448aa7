//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tidegate/tidegate/test/overload/judge"
)

// idleConnections wait for an agent that has no file for them.
const idleConnections = 64

func (x *exercise) noFiles() error {
	a := x.region("eu-2").agents[1]
	from := x.mark(a.name + " may open no more files")
	giveBack, err := a.takeFiles()
	if err != nil {
		return err
	}
	idle, err := x.connectIdle(a)
	if err == nil {
		err = x.pause(x.long(35*time.Second, 8*time.Second))
	}
	mended := x.mark(a.name + " may open files again")
	for _, c := range idle {
		_ = c.Close()
	}
	if err := errors.Join(err, giveBack()); err != nil {
		return err
	}
	if err := x.settle(mended); err != nil {
		return err
	}
	if err := x.pause(x.long(15*time.Second, 5*time.Second)); err != nil {
		return err
	}
	until := time.Now().Add(-5 * time.Second)
	others := x.pick(from, until, func(m *message) bool { return m.Agent != a.name })
	own := func(m *message) bool { return m.Agent == a.name }
	x.keptAll(from, until)
	x.success("all at other edges succeeded within 1 s", others, time.Second, 99, from, until)
	x.success("all at other edges succeeded", others, 5*time.Second, 99.9, from, until)
	x.success("critical succeeded", x.pick(from, until, criticalAt(regionNames...)), 5*time.Second, 99.9, from, until)
	x.success("all at its own edge succeeded meanwhile", x.pick(from, mended, own), 5*time.Second, 99, from, mended)
	later := x.pick(mended.Add(3*time.Second), until, own)
	x.bar(judge.AtMost(fmt.Sprintf("failed at its own edge from 3 s after, of %d", len(later)), float64(x.failed(later)), "messages", 0), mended, until)
	x.steadyPlans(x.agents())
	return nil
}

// takeFiles leaves the running agent no file to open, until they are given back.
func (a *agent) takeFiles() (giveBack func() error, err error) {
	pid := a.proc.Cmd.Process.Pid
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return nil, err
	}
	var was unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &was); err != nil {
		return nil, fmt.Errorf("read how many files agent %s may open: %w", a.name, err)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(len(open)), Max: was.Max}, nil); err != nil {
		return nil, fmt.Errorf("take files from agent %s: %w", a.name, err)
	}
	return func() error { return unix.Prlimit(pid, unix.RLIMIT_NOFILE, &was, nil) }, nil
}

// connectIdle has devices open connections to the agent's edge and say nothing.
func (x *exercise) connectIdle(a *agent) (all []net.Conn, err error) {
	err = x.wan.Region(field).In(func() error {
		for range idleConnections {
			c, err := net.DialTimeout("tcp", a.edge(), time.Second)
			if err != nil {
				return err
			}
			all = append(all, c)
		}
		return nil
	})
	return all, err
}
