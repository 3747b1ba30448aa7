package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// process is a server under measurement, or the backend.
type process struct {
	cmd  *exec.Cmd
	log  string // file with its standard error
	done chan struct{}
}

// start runs a program that dies with this one.
func start(dir, name string, cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	f, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd.Stderr = f
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.done)
		cmd.Wait()
	}()
	return p, nil
}

func (p *process) stop() {
	p.cmd.Process.Kill()
	<-p.done
}

// tail is the end of what the process logged, for error messages.
func (p *process) tail() string {
	raw, _ := os.ReadFile(p.log)
	return strings.TrimSpace(string(raw[max(0, len(raw)-2000):]))
}

// startSelf runs this program in a role and reads the address it prints.
func startSelf(ctx context.Context, dir, role string, env ...string) (*process, string, error) {
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
	p, err := start(dir, role, cmd)
	w.Close()
	if err != nil {
		return nil, "", err
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, "", fmt.Errorf("%s ended: %s", role, p.tail())
	}
	return p, strings.TrimSpace(line), nil
}

// clockTick is the unit of CPU time in /proc/PID/stat (proc(5); USER_HZ is 100
// on every Linux architecture that Go supports).
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
