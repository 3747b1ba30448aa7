//go:build linux

package wan

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tidegate/tidegate/test/child"
)

// Start runs a program in the region, with what it says appended to the file
// log. It ends with this process, or with Close.
func (r *Region) Start(cmd *exec.Cmd, log string) (*child.Process, error) {
	cmd.Env = append(cmd.Environ(), mark())
	return child.StartBy(cmd, log, r.In)
}

// Kill ends every process in the region as a power cut does, and returns when
// they are gone.
func (r *Region) Kill() error {
	return r.SignalAll(unix.SIGKILL)
}

// SignalAll sends a signal to every process in the region; with SIGKILL it
// returns when they are gone.
func (r *Region) SignalAll(signal syscall.Signal) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		inside, err := r.processes()
		for _, p := range inside {
			err = errors.Join(err, ended(p.Signal(signal)))
		}
		if signal != unix.SIGKILL || len(inside) == 0 || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("kill what runs in region %s: %d processes do not end", r.Name, len(inside))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// ended takes the end of a process for success.
func ended(err error) error {
	if errors.Is(err, os.ErrProcessDone) || errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// processes that are in the region now, but for this one, a thread of which may be.
func (r *Region) processes() ([]*os.Process, error) {
	var own unix.Stat_t
	if err := unix.Fstat(int(r.space), &own); err != nil {
		return nil, fmt.Errorf("look into region %s: %w", r.Name, err)
	}
	return find(func(dir string) bool {
		var theirs unix.Stat_t
		return unix.Stat(filepath.Join(dir, "ns/net"), &theirs) == nil && theirs.Ino == own.Ino && theirs.Dev == own.Dev
	})
}

// find lists the processes, this one apart, whose folder in /proc has a sign. A
// handle is taken before the last look, so that it is of the process seen.
func find(sign func(dir string) bool) ([]*os.Process, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var found []*os.Process
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() || !sign(dir) {
			continue
		}
		p, err := os.FindProcess(pid)
		if err == nil && sign(dir) {
			found = append(found, p)
		}
	}
	return found, nil
}
