//go:build linux

package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tidegate/tidegate/test/overload/judge"
)

const smallDisk = "size=256k,mode=0700"

// runOnSmallDisk becomes a program that finds a small disk at a folder. Nobody else
// does, and it goes with the program.
func runOnSmallDisk(dir string, program []string) error {
	runtime.LockOSThread() // until the program takes over
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts to itself: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, smallDisk); err != nil {
		return fmt.Errorf("mount a small disk at %s: %w", dir, err)
	}
	path, err := exec.LookPath(program[0])
	if err != nil {
		return err
	}
	return unix.Exec(path, program, os.Environ())
}

// dataDir is the agent's data_dir as its process finds it.
func (a *agent) dataDir() string {
	return filepath.Join(fmt.Sprintf("/proc/%d/root", a.proc.Cmd.Process.Pid), a.dir, "data")
}

const filler = "filler"

// fill leaves no room on the agent's small disk.
func (a *agent) fill() error {
	f, err := os.Create(filepath.Join(a.dataDir(), filler))
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		if _, err := f.Write(make([]byte, 1024)); errors.Is(err, unix.ENOSPC) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (x *exercise) diskFull() error {
	a := x.region("eu-2").agents[1]
	if err := x.moveToSmallDisk(a); err != nil {
		return err
	}
	if err := x.settle(time.Now()); err != nil {
		return err
	}
	from := x.mark("the disk of " + a.name + " is full")
	if err := a.fill(); err != nil {
		return err
	}
	seen := a.logSize()
	if err := x.giveSomethingToKeep(a.region, "full"); err != nil {
		return err
	}
	if err := x.pause(x.long(20*time.Second, 8*time.Second)); err != nil {
		return err
	}
	said := a.said(seen, "last known good is not written") && a.said(seen, "policy not kept")
	counted, err := x.diskErrors(a)
	if err != nil {
		return err
	}
	mended := x.mark("there is room again")
	if err := os.Remove(filepath.Join(a.dataDir(), filler)); err != nil {
		return err
	}
	if err := x.giveSomethingToKeep(a.region, "free"); err != nil {
		return err
	}
	written := await(x.ctx, 10*time.Second, func() error {
		if !a.said(seen, "last known good is written again") || !a.said(seen, "policy is kept again") {
			return fmt.Errorf("agent %s does not say that it writes again", a.name)
		}
		return nil
	})
	if err := x.settle(mended); err != nil {
		return err
	}
	if err := x.pause(5 * time.Second); err != nil {
		return err
	}
	until := time.Now().Add(-5 * time.Second)
	x.success("all at every edge succeeded", x.pick(from, until, at(regionNames...)), 5*time.Second, 100, from, until)
	x.bar(judge.AtLeast("it says that neither catalog nor policy is kept", oneIf(said), "times", 1), from, mended)
	x.bar(judge.AtLeast("it counts what it could not write", counted, "times", 1), from, mended)
	x.bar(judge.AtLeast("it writes again, and says so", oneIf(written == nil), "times", 1), mended, until)
	x.keptAll(from, until)
	x.steadyPlans(x.agents())
	return errors.Join(x.runOn(a, nil), x.applyPolicy(x.ctx), x.awaitWhole(x.ctx))
}

func (x *exercise) moveToSmallDisk(a *agent) error {
	return x.runOn(a, []string{"/proc/self/exe", roleDisk, filepath.Join(a.dir, "data"), x.tidegate})
}

func (x *exercise) runOn(a *agent, run []string) error {
	return x.startAgain([]*agent{a}, func(a *agent) { a.run = run })
}

// giveSomethingToKeep changes what agents keep on disk: a service's registration
// and the policy.
func (x *exercise) giveSomethingToKeep(r *region, what string) error {
	if err := r.registerWith(x.ctx, map[string]string{"drill": what}); err != nil {
		return err
	}
	return r.writePolicy(x.ctx, append([]byte("# "+what+"\n"), samplePolicy...))
}

func (x *exercise) diskErrors(a *agent) (float64, error) {
	metrics, err := a.read(x.ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	return numberAfter(metrics, `tidegate_catalog_errors_total{kind="disk"} `)
}

// logSize is how much the agent has said.
func (a *agent) logSize() int64 {
	info, err := os.Stat(a.log())
	if err != nil {
		return 0
	}
	return info.Size()
}

// said tells whether the agent has said something since its log had a size.
func (a *agent) said(since int64, what string) bool {
	raw, err := os.ReadFile(a.log())
	return err == nil && int64(len(raw)) >= since && bytes.Contains(raw[since:], []byte(what))
}
