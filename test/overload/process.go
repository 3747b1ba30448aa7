package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// process is a server under measurement, or the service behind it.
type process struct {
	cmd  *exec.Cmd
	log  string // file with its standard error
	done chan struct{}
}

// start runs a program that dies with this one. The goroutine that starts it
// keeps its thread, because the kernel ends the child with that thread.
func (l *lab) start(name string, cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, log: filepath.Join(l.dir, fmt.Sprintf("%s-%d.log", name, len(l.procs))), done: make(chan struct{})}
	f, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd.Stderr = f
	dieWithParent(cmd)
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // its outcome is in cmd.ProcessState
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	l.procs = append(l.procs, p)
	return p, nil
}

// kill ends the process as a power cut does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// tail is the end of what the process logged, for error messages.
func (p *process) tail() string {
	raw, _ := os.ReadFile(p.log)
	return strings.TrimSpace(string(raw[max(0, len(raw)-2000):]))
}

// startSelf runs this program in a role and gives the words of the line it
// prints.
func (l *lab) startSelf(ctx context.Context, role string, env ...string) (*process, []string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, self, role)
	cmd.Env = append(os.Environ(), env...)
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	cmd.Stdout = w
	p, err := l.start(role, cmd)
	w.Close()
	if err != nil {
		return nil, nil, err
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		p.kill()
		return nil, nil, fmt.Errorf("%s ended: %s", role, p.tail())
	}
	return p, strings.Fields(line), nil
}

// clockTick is the unit of CPU time in /proc/PID/stat (proc_pid_stat(5);
// USER_HZ is 100 on every Linux architecture that Go supports).
const clockTick = 10 * time.Millisecond

// cpu is the user and system time the process has used, without its children.
func (p *process) cpu() (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read CPU time (the process ended?): %w: %s", err, p.tail())
	}
	// Fields count from behind the command's name, which may hold anything.
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	const utime, stime = 11, 12
	if len(fields) <= stime {
		return 0, fmt.Errorf("read CPU time: %q is too short", raw)
	}
	user, err := strconv.ParseInt(fields[utime], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[stime], 10, 64)
	return time.Duration(user+system) * clockTick, err
}
