// Package child runs programs that end with the one that started them: servers
// under measurement, agents under test.
package child

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// Process is a running child. It must not be copied.
type Process struct {
	Cmd  *exec.Cmd
	log  string // file with what it says
	done chan struct{}
}

// Start runs cmd with what it says appended to a file: its standard error, and
// its output when cmd does not have another place for that. The goroutine that
// starts it keeps its thread until the child ends, because the kernel ends the
// child with that thread.
func Start(cmd *exec.Cmd, log string) (*Process, error) {
	return StartBy(cmd, log, func(start func() error) error { return start() })
}

// StartBy is Start by way of a function that is given the start itself, and
// calls it on the thread it is called on, as the child is to find it.
func StartBy(cmd *exec.Cmd, log string, by func(start func() error) error) (*Process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	defer out.Close()
	cmd.Stderr = out
	if cmd.Stdout == nil {
		cmd.Stdout = out
	}
	dieWithParent(cmd)
	p := &Process{Cmd: cmd, log: log, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := by(cmd.Start)
		started <- err
		if err == nil {
			_ = cmd.Wait() // its outcome is in cmd.ProcessState
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// StartSelf runs this program in a role, its first argument, and returns the
// line it prints once it is ready.
func StartSelf(ctx context.Context, log, role string, env ...string) (*Process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	cmd := exec.CommandContext(ctx, self, role)
	cmd.Env = append(os.Environ(), env...)
	r, w, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	defer r.Close()
	cmd.Stdout = w
	p, err := Start(cmd, log)
	w.Close()
	if err != nil {
		return nil, "", err
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		p.Kill()
		return nil, "", fmt.Errorf("%s ended: %s", role, p.Tail())
	}
	return p, strings.TrimSpace(line), nil
}

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running says that the child has not ended; it may be asked of nil.
func (p *Process) Running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Kill ends the child as a power cut does; to end an ended one does nothing.
func (p *Process) Kill() {
	if p.Running() {
		_ = p.Cmd.Process.Kill()
		<-p.done
	}
}

// Tail is the end of what the child said, for error messages.
func (p *Process) Tail() string {
	raw, _ := os.ReadFile(p.log)
	return strings.TrimSpace(string(raw[max(0, len(raw)-2000):]))
}
