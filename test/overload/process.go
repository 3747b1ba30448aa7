package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/tidegate/tidegate/test/child"
)

// start runs a program that ends with the experiment.
func (l *lab) start(name string, cmd *exec.Cmd) (*child.Process, error) {
	p, err := child.Start(cmd, l.logOf(name))
	if err == nil {
		l.procs = append(l.procs, p)
	}
	return p, err
}

// startSelf runs this program in a role and gives the words of the line it
// prints.
func (l *lab) startSelf(ctx context.Context, role string, env ...string) (*child.Process, []string, error) {
	p, line, err := child.StartSelf(ctx, l.logOf(role), role, env...)
	if err != nil {
		return nil, nil, err
	}
	l.procs = append(l.procs, p)
	return p, strings.Fields(line), nil
}

func (l *lab) logOf(name string) string { return l.path(fmt.Sprintf("%s-%d.log", name, len(l.procs))) }
