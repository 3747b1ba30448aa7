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

// Binary builds tidegate, once for a whole test binary, and returns its path.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatalf("build tidegate: %v", err)
	}
	return path
}

// built keeps the folder for the life of the test binary; RemoveBinary ends it.
var built = sync.OnceValues(func() (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	path, err := binaryPath()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", append(append([]string{"build", "-buildvcs=false"}, raceFlags...), "-o", path, ".")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func binaryPath() (string, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("tidegate-test-%d", os.Getpid()))
	return filepath.Join(dir, "tidegate"), os.MkdirAll(dir, 0o700)
}

// RemoveBinary removes what Binary built; for TestMain, when all tests are over.
func RemoveBinary() {
	if path, err := binaryPath(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
}

func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}
