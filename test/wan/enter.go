//go:build linux

package wan

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// insideVariable tells the second run of a program that it is one.
const insideVariable = "WAN_INSIDE"

// Enter is called first in main or TestMain. With root's rights it does nothing.
// Without them it runs the program again in a user namespace, where it has them,
// and exits as that does; where user namespaces are not allowed it returns, and
// Start will say so. The second run has a network namespace of its own too, with
// nothing but the loopback device: into the one outside it could not return from
// a region.
func Enter() {
	switch {
	case os.Getenv(insideVariable) != "":
		_, _ = raise("lo") // whoever misses it will say so
		return
	case privileged():
		return
	}
	runtime.LockOSThread() // the kernel ends the child with this thread
	defer runtime.UnlockOSThread()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer signal.Stop(signals)
	cmd := inside()
	if err := cmd.Start(); err != nil {
		return
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	err := cmd.Wait()
	if exited := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exited) {
		fmt.Fprintln(os.Stderr, "wan:", err)
		os.Exit(1)
	}
	os.Exit(max(cmd.ProcessState.ExitCode(), 0) | signaled(cmd.ProcessState))
}

// signaled is the exit status of shells for a process that a signal ended.
func signaled(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return 0
}

func inside() *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   unix.SIGKILL,
	}
	return cmd
}

// privileged says whether this process may make namespaces and devices.
func privileged() bool {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "CapEff:"); ok {
			held, err := strconv.ParseUint(strings.TrimSpace(text), 16, 64)
			const needed = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_SYS_ADMIN
			return err == nil && held&needed == needed
		}
	}
	return false
}
