package child

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestChildIsKilledAndLeavesItsLastWords(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p, err := Start(exec.Command("sh", "-c", "echo out; echo err >&2; exec sleep 60"), log)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for !strings.Contains(p.Tail(), "out\nerr") && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if !p.Running() || p.Tail() != "out\nerr" {
		t.Errorf("running %v, said %q", p.Running(), p.Tail())
	}
	p.Kill()
	p.Kill()
	if p.Running() || p.Cmd.ProcessState.ExitCode() != -1 {
		t.Errorf("after the kill: %v", p.Cmd.ProcessState)
	}
}

func TestWhatCannotBeStartedIsSaid(t *testing.T) {
	if p, err := Start(exec.Command(filepath.Join(t.TempDir(), "nothing")), filepath.Join(t.TempDir(), "log")); err == nil {
		p.Kill()
		t.Error("it started")
	}
	var none *Process
	if none.Running() {
		t.Error("nothing runs")
	}
}

func TestCPUTimeOfAProcessIsRead(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("CPU time is read from /proc")
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{Cmd: &exec.Cmd{Process: self}}
	before, err := p.CPU()
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for now := before; now < before+5*clockTick; {
		if now, err = p.CPU(); err != nil || time.Now().After(deadline) {
			t.Fatalf("CPU time stays at %s, %v", now, err)
		}
	}
}
