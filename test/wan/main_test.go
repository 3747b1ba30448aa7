//go:build linux

package wan

import (
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	Enter()
	if os.Getenv(crashingVariable) != "" {
		crashing()
	}
	goleak.VerifyTestMain(m)
}

// network starts one that ends with the test. Where namespaces are not allowed
// the test is skipped, or fails with TIDEGATE_REQUIRE_NAMESPACES=1.
func network(t testing.TB, cfg Config) *WAN {
	t.Helper()
	if cfg.Regions == nil {
		cfg.Regions = []string{"eu-1", "eu-2", "us-1"}
	}
	w, err := Start(cfg)
	if errors.Is(err, ErrNotPermitted) && os.Getenv("TIDEGATE_REQUIRE_NAMESPACES") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(w.Dir()); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", w.Dir(), err)
		}
	})
	return w
}

func do(t testing.TB, w *WAN, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if err := w.Do(line); err != nil {
			t.Fatal(err)
		}
	}
}

// program is a program of the machine that a test needs; `make tools` installs it.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("TIDEGATE_REQUIRE_TOOLS") == "1" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
	return path
}

// measure fails the test when three measurements in a row are off: one may be
// spoiled by what else the machine does.
func measure(t testing.TB, once func() error) {
	t.Helper()
	var err error
	for range 3 {
		if err = once(); err == nil {
			return
		}
		t.Log(err)
	}
	t.Error(err)
}

// near says whether a figure is within a tenth of what was set.
func near(got, want float64) bool { return got >= 0.9*want && got <= 1.1*want }

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
