//go:build linux

package wan

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const crashingVariable = "WAN_TEST_CRASHING"

// family starts a process, and one more that this one starts.
func family(r *Region, dir string) error {
	_, err := r.Start(exec.Command("sh", "-c", "sleep 1000 & echo $!; wait"), filepath.Join(dir, "log"))
	return err
}

// crashing is the other life of this test binary: it makes a network, says where,
// and waits to be killed.
func crashing() {
	w, err := Start(Config{Regions: []string{"a", "b"}})
	if err == nil {
		err = family(w.Region("a"), w.Dir())
	}
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(w.Dir())
	time.Sleep(time.Hour)
}

// grandchild reads what the family said.
func grandchild(t *testing.T, dir string) (pid int) {
	t.Helper()
	eventually(t, "the grandchild is there", func() bool {
		said, _ := os.ReadFile(filepath.Join(dir, "log"))
		var err error
		pid, err = strconv.Atoi(strings.TrimSpace(string(said)))
		return err == nil
	})
	return pid
}

func TestCloseEndsEveryProcess(t *testing.T) {
	w := network(t, Config{Regions: []string{"a", "b"}})
	if err := family(w.Region("a"), w.Dir()); err != nil {
		t.Fatal(err)
	}
	pid := grandchild(t, w.Dir())
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if began(pid) != "" {
		t.Errorf("process %d is left", pid)
	}
}

func TestCleanRemovesWhatACrashLeftAndNothingElse(t *testing.T) {
	mine := network(t, Config{Regions: []string{"a", "b"}})
	if err := family(mine.Region("a"), mine.Dir()); err != nil {
		t.Fatal(err)
	}
	kept := grandchild(t, mine.Dir())

	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), crashingVariable+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	dir := strings.TrimSpace(line)
	left := grandchild(t, dir)
	if !slices.Contains(Runs(), dir) || !slices.Contains(Runs(), mine.Dir()) {
		t.Errorf("runs are %v", Runs())
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()

	removed, err := Clean() // another run on this machine may be faster
	if err != nil {
		t.Error(err)
	}
	eventually(t, "what the crash left is gone", func() bool { return began(left) == "" })
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", dir, err)
	}
	if began(kept) == "" || slices.Contains(removed, mine.Dir()) {
		t.Error("a living network was cleaned away")
	}
}

func TestControlTakesLinesFromOtherProcesses(t *testing.T) {
	w := network(t, Config{Regions: []string{"a", "b"}, Setup: []string{"set a b delay=5ms"}})
	s, err := Ask(t.Context(), w.Socket(), "set a->b loss=1%", "cut b->a")
	if err != nil || s.Directions[0].Profile != "delay=5ms loss=1%" || s.Directions[1].Profile != "cut delay=5ms" {
		t.Errorf("%+v, %v", s.Directions, err)
	}
	if s.PID != os.Getpid() || s.Regions[1].Addresses[1] != "10.99.2.2" {
		t.Errorf("%+v", s)
	}
	if _, err := Ask(t.Context(), w.Socket(), "melt a b"); err == nil || !strings.Contains(err.Error(), `"melt"`) {
		t.Errorf("a line that makes no sense: %v", err)
	}
}
