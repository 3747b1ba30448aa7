//go:build linux

package lab

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidegate/tidegate/agent/catalog/consultest"
	"github.com/tidegate/tidegate/test/overload/judge"
	"github.com/tidegate/tidegate/test/wan"
)

func TestMain(m *testing.M) {
	wan.Enter()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		_ = os.RemoveAll(binDir())
		os.Exit(status)
	}))
}

func binDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("tidegate-regions-test-%d", os.Getpid()))
}

// built has this command and tidegate in binDir, for all tests.
var built = sync.OnceValue(func() error {
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", binDir()+"/", "..", "../../..").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build: %w: %s", err, out)
	}
	return nil
})

// program is this command, running.
type program struct {
	cmd    *exec.Cmd
	pipe   io.Reader
	out    *bufio.Scanner // of pipe
	stderr bytes.Buffer
}

// launch runs it. Where namespaces are not allowed the test is skipped, or fails
// with TIDEGATE_REQUIRE_NAMESPACES=1.
func launch(t *testing.T, args ...string) *program {
	t.Helper()
	w, err := wan.Start(wan.Config{Regions: []string{"try"}})
	if errors.Is(err, wan.ErrNotPermitted) && os.Getenv("TIDEGATE_REQUIRE_NAMESPACES") != "1" {
		t.Skip(err)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := built(); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"--json", "--consul", consultest.Binary(t), "--tidegate", filepath.Join(binDir(), "tidegate")}, args...)
	p := &program{cmd: exec.Command(filepath.Join(binDir(), "regions"), args...)}
	p.cmd.Stderr = &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // signals reach it alone
	if p.pipe, err = p.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewScanner(p.pipe)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		_, _ = wan.Clean()
	})
	return p
}

// line is any of those that it prints.
type line struct {
	distance
	Bar, Bound, Refused string
	Value               float64
	Pass                bool
}

// next reads a line; false at the end.
func (p *program) next(t *testing.T) (l line, ok bool) {
	t.Helper()
	if !p.out.Scan() {
		return l, false
	}
	if err := json.Unmarshal(p.out.Bytes(), &l); err != nil {
		t.Fatalf("%s: %v", p.out.Text(), err)
	}
	return l, true
}

// left is what a process left behind that owned a mesh.
func left(t *testing.T, pid int) (found []string) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), fmt.Sprintf("tidegate-wan.%d.*", pid)))
	if err != nil {
		t.Fatal(err)
	}
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range environs {
		if raw, err := os.ReadFile(file); err == nil && bytes.Contains(raw, fmt.Appendf(nil, "WAN_OWNER=%d.", pid)) {
			found = append(found, file)
		}
	}
	return append(found, dirs...)
}

func TestRegionCutOffIsLeftWithinItsPromiseAndComesBack(t *testing.T) {
	before, err := judge.Now()
	if err != nil {
		t.Fatal(err)
	}
	busy := func() bool { // then agents wait for a CPU
		now, err := judge.Now()
		return err == nil && now.Busy(before) > 0.8
	}
	p := launch(t, "--short", "--drill", "region-cut")
	seen := map[string]bool{}
	var bars []string
	for {
		l, ok := p.next(t)
		if !ok {
			break
		}
		switch {
		case l.Event == "distance":
			seen[l.Agent+" "+l.Region] = true
			if l.Measured < 0.9*l.Set || !l.near() && !busy() {
				t.Errorf("%s finds %s %.1f ms away, set are %.1f", l.Agent, l.Region, l.Measured, l.Set)
			}
		case l.Bar != "":
			bars = append(bars, l.Bar)
			t.Logf("%s: %.2f %s %v %s", l.Bar, l.Value, l.Bound, l.Pass, l.Refused)
			if !l.Pass && l.Refused == "" {
				t.Errorf("%s: %.2f, bound %s", l.Bar, l.Value, l.Bound)
			}
		}
	}
	err = p.cmd.Wait()
	if len(seen) != len(regionNames)*agentsEach*(len(regionNames)-1) {
		t.Errorf("%d distances: %v", len(seen), seen)
	}
	if !slices.ContainsFunc(bars, func(b string) bool { return strings.HasPrefix(b, "region-cut: what needed eu-2 succeeded within 1 s") }) {
		t.Errorf("judged were %v", bars)
	}
	if found := left(t, p.cmd.Process.Pid); len(found) > 0 {
		t.Errorf("left: %v", found)
	}
	if t.Failed() {
		t.Logf("it ended with %v, and said:\n%s", err, p.stderr.String())
	}
}

func TestAgentsGoOnWithoutRoomOnTheirDiskAndWithoutFiles(t *testing.T) {
	p := launch(t, "--short", "--bars", "--drill", "disk-full,no-files")
	judged := map[string]int{}
	for {
		l, ok := p.next(t)
		if !ok {
			break
		}
		drill, _, _ := strings.Cut(l.Bar, ": ")
		judged[drill]++
		t.Logf("%s: %.2f %s %v %s", l.Bar, l.Value, l.Bound, l.Pass, l.Refused)
		if !l.Pass && l.Refused == "" {
			t.Errorf("%s: %.2f, bound %s", l.Bar, l.Value, l.Bound)
		}
	}
	err := p.cmd.Wait()
	if len(judged) != 2 || judged["disk-full"] < 10 || judged["no-files"] < 10 {
		t.Errorf("bars: %v", judged)
	}
	if t.Failed() {
		t.Logf("it ended with %v, and said:\n%s", err, p.stderr.String())
	}
}

func TestNothingIsLeftAfterCtrlCNorAfterACrash(t *testing.T) {
	for _, c := range []struct {
		signal syscall.Signal
		clean  bool // by itself
	}{{syscall.SIGINT, true}, {syscall.SIGKILL, false}} {
		t.Run(c.signal.String(), func(t *testing.T) {
			p := launch(t, "--rate", "30", "--at", "1s isolate eu-2")
			for {
				l, ok := p.next(t)
				if !ok {
					t.Fatalf("it ended: %s", p.stderr.String())
				}
				if l.Event == "step" {
					break
				}
			}
			if len(left(t, p.cmd.Process.Pid)) < 3*(agentsEach+2) {
				t.Errorf("before the end there was %v", left(t, p.cmd.Process.Pid))
			}
			_ = p.cmd.Process.Signal(c.signal)
			if _, err := io.Copy(io.Discard, p.pipe); err != nil {
				t.Error(err)
			}
			if err := p.cmd.Wait(); (err == nil) != c.clean {
				t.Errorf("it ended with %v: %s", err, p.stderr.String())
			}
			if !c.clean {
				if _, err := wan.Clean(); err != nil {
					t.Error(err)
				}
			}
			deadline := time.Now().Add(10 * time.Second)
			for len(left(t, p.cmd.Process.Pid)) > 0 && time.Now().Before(deadline) {
				time.Sleep(20 * time.Millisecond)
			}
			if found := left(t, p.cmd.Process.Pid); len(found) > 0 {
				t.Errorf("left: %v", found)
			}
		})
	}
}

func TestScriptsAreReadAndOrdered(t *testing.T) {
	var s script
	for _, text := range []string{"10s cut eu us", "1s  isolate eu-2 ", "10s heal"} {
		if err := s.Set(text); err != nil {
			t.Error(err)
		}
	}
	if want := (script{{time.Second, "isolate eu-2"}, {10 * time.Second, "cut eu us"}, {10 * time.Second, "heal"}}); !slices.Equal(s, want) {
		t.Errorf("%v, want %v", s, want)
	}
	if s.wait(400*time.Millisecond) != 600*time.Millisecond || script(nil).wait(0) < time.Hour {
		t.Error("how long the first step has")
	}
	for _, text := range []string{"", "10s", "cut eu us", "-1s heal", "10 heal"} {
		if err := s.Set(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	for _, args := range [][]string{
		{"now"}, {"--rate", "0"}, {"--rate", "5000"}, {"--for", "-1s"}, {"--drill", "nothing"},
		{"--drill", "lossy", "--for", "1m"}, {"--drill", "lossy", "--at", "1s heal"}, {"--at", "soon heal"},
	} {
		if _, err := parse(args); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
	if opt, err := parse([]string{"--drill", "region-cut,lossy", "--short"}); err != nil || len(opt.drills) != 2 {
		t.Errorf("%+v, %v", opt, err)
	}
}
