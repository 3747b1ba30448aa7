//go:build linux

package wan

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// alarm wakes one goroutine at a time that may be moved. Unlike timers of the Go
// runtime, which may be a millisecond late when nothing else goes on, it is as
// precise as the kernel (timerfd_create(2)).
type alarm struct {
	fd   int
	file *os.File // of fd, for the runtime's poller
}

func newAlarm() (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a timer: %w", err)
	}
	return &alarm{fd, os.NewFile(uintptr(fd), "timerfd")}, nil
}

// set moves the alarm; it must not be called after Close.
func (a *alarm) set(in time.Duration) {
	next := unix.ItimerSpec{Value: unix.NsecToTimespec(max(in, 1).Nanoseconds())}
	_ = unix.TimerfdSettime(a.fd, 0, &next, nil) // of a timer and a time that are right
}

// wait returns at the time set, or false after Close.
func (a *alarm) wait() bool {
	var times [8]byte
	_, err := a.file.Read(times[:])
	return err == nil
}

func (a *alarm) Close() error { return a.file.Close() }
