package mesh

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidegate/tidegate/test/child"
)

// Agent is one tidegate process. Its second and further agents of a region are
// controlled through unix sockets and tell Consul their readiness themselves;
// the first has addresses, and Consul asks it.
type Agent struct {
	Name        string
	Region      *Region
	IP          string
	Ports       ports
	Sockets     bool
	ConsulToken string

	dir  string
	proc *child.Process
}

// ServiceID is the agent's registration in Consul.
func (a *Agent) ServiceID() string { return "tidegate-" + a.Name }

// EdgeAddr is where devices connect.
func (a *Agent) EdgeAddr() string { return join(a.IP, a.Ports.Edge) }

// Running says whether the process lives.
func (a *Agent) Running() bool { return a.proc.Running() }

// Start runs the agent until it is killed or the mesh's test ends.
func (a *Agent) Start(t testing.TB) {
	t.Helper()
	cmd := exec.Command(Binary(t), "agent", "--config", filepath.Join(a.dir, "agent.hcl"))
	cmd.Env = append(bareEnv(), "AGENT_CONSUL_TOKEN="+a.ConsulToken)
	var err error
	if a.proc, err = child.Start(cmd, a.logFile()); err != nil {
		t.Fatalf("start agent %s: %v", a.Name, err)
	}
}

// bareEnv keeps the tester's own settings from the agents, and the race
// detector from waiting for a second at each exit.
func bareEnv() []string {
	own := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "CONSUL_") || strings.HasPrefix(v, "TIDEGATE_")
	})
	return append(own, "GORACE=atexit_sleep_ms=0")
}

// Move gives a stopped agent another address and other ports.
func (a *Agent) Move(t testing.TB, ip string) {
	t.Helper()
	a.IP, a.Ports = ip, freePorts(t, ip)
	a.write(t)
}

// Kill ends the agent with SIGKILL.
func (a *Agent) Kill() { a.proc.Kill() }

// Terminate sends SIGTERM, which drains the agent.
func (a *Agent) Terminate() { _ = a.proc.Cmd.Process.Signal(syscall.SIGTERM) }

// Exit waits for the end of the process and returns its exit status, -1 after a
// signal.
func (a *Agent) Exit(t testing.TB, within time.Duration) int {
	t.Helper()
	select {
	case <-a.proc.Done():
	case <-time.After(within):
		a.Kill()
		t.Errorf("agent %s did not end within %s", a.Name, within)
	}
	return a.proc.Cmd.ProcessState.ExitCode()
}

func (a *Agent) logFile() string { return filepath.Join(a.dir, "log") }

// Log is all that the agent said.
func (a *Agent) Log() []byte {
	said, err := os.ReadFile(a.logFile())
	if err != nil {
		return []byte(err.Error())
	}
	return said
}

// tailBytes of an agent's log are shown when a test fails.
const tailBytes = 6 << 10

// end kills the agent; a data race or a panic it had fails the test.
func (a *Agent) end(t testing.TB) {
	a.Kill()
	said := a.Log()
	for _, sign := range []string{"WARNING: DATA RACE", "panic:", "fatal error:"} {
		if i := bytes.Index(said, []byte(sign)); i >= 0 {
			t.Errorf("agent %s: %s", a.Name, said[i:min(len(said), i+tailBytes)])
		}
	}
	if t.Failed() {
		t.Logf("agent %s said last:\n%s", a.Name, said[max(0, len(said)-tailBytes):])
	}
}
