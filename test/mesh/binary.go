package mesh

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Binary builds tidegate, once for a whole test binary and with its race detector,
// and returns its path.
func Binary(t testing.TB) string {
	t.Helper()
	return must(t, builtAsTested)
}

// PlainBinary is Binary without the race detector, for what looks at the clock.
func PlainBinary(t testing.TB) string {
	t.Helper()
	return must(t, builtPlain)
}

func must(t testing.TB, built func() (string, error)) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatalf("build tidegate: %v", err)
	}
	return path
}

// They keep their folder for the life of the test binary; RemoveBinary ends it.
var (
	builtAsTested = sync.OnceValues(func() (string, error) { return build("tidegate", raceFlags...) })
	builtPlain    = sync.OnceValues(func() (string, error) { return build("tidegate-plain") })
)

func build(name string, flags ...string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	dir := binaryDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	cmd := exec.Command("go", append(append([]string{"build", "-buildvcs=false"}, flags...), "-o", path, ".")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
}

func binaryDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("tidegate-test-%d", os.Getpid()))
}

// RemoveBinary removes what was built; for TestMain, when all tests are over.
func RemoveBinary() { _ = os.RemoveAll(binaryDir()) }

func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}
