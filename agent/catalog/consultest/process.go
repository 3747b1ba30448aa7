package consultest

import (
	"os"
	"os/exec"
	"runtime"
	"time"
)

// process is a running child. Its exit is known when done is closed.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// start runs cmd. The goroutine that starts it keeps its thread until it ends,
// because the kernel ends the child with that thread (see dieWithParent).
func start(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd, make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// signal sends sig and waits for the end, by force after the time given.
func (p *process) signal(sig os.Signal, within time.Duration) {
	p.cmd.Process.Signal(sig)
	select {
	case <-p.done:
	case <-time.After(within):
		p.cmd.Process.Kill()
		<-p.done
	}
}
