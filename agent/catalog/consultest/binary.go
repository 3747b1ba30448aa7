package consultest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// RequireEnv, set to "1", makes a missing consul a failure instead of a skip,
// and lets it be built first, which takes minutes.
const RequireEnv = "TIDEGATE_REQUIRE_CONSUL"

const (
	cachedWithin = 15 * time.Second // a finished build is only looked up, within a second
	builtWithin  = 30 * time.Minute
)

// Binary returns the path of a consul executable: the one on PATH, or the one
// of test/consul.mod if it was built already. Without one the test is skipped
// with the reason, or failed where RequireEnv asks for that.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := found()
	switch {
	case err == nil:
		return path
	case required():
		t.Fatalf("no consul: %v", err)
	default:
		t.Skipf("no consul (put one on PATH, or build it with `make tools`): %v", err)
	}
	return ""
}

// found looks once for a whole test binary: an unbuilt consul is slow to miss.
var found = sync.OnceValues(func() (string, error) { return find(context.Background(), required()) })

func required() bool { return os.Getenv(RequireEnv) == "1" }

func find(ctx context.Context, build bool) (string, error) {
	if path, err := exec.LookPath("consul"); err == nil {
		return path, nil
	}
	dir, err := toolDir(ctx)
	if err != nil {
		return "", err
	}
	within, env := cachedWithin, append(os.Environ(), "GOPROXY=off")
	if build {
		within, env = builtWithin, os.Environ()
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	// -n prints the path: run through `go tool`, consul would not have the
	// process id that signals are sent to.
	out, err := run(ctx, dir, env, "go", "tool", "-modfile=consul.mod", "-n", "consul")
	if err != nil {
		return "", err
	}
	path := strings.TrimSpace(out)
	if _, err := os.Stat(path); err != nil {
		return "", err
	}
	return path, nil
}

// toolDir is the folder of consul.mod in the module that the test is run in.
func toolDir(ctx context.Context) (string, error) {
	out, err := run(ctx, ".", os.Environ(), "go", "env", "GOMOD")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(strings.TrimSpace(out)), "test")
	if _, err := os.Stat(filepath.Join(dir, "consul.mod")); err != nil {
		return "", fmt.Errorf("not on PATH, and the test runs outside the module that can build it: %w", err)
	}
	return dir, nil
}

func run(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stderr, cmd.WaitDelay = dir, env, &stderr, time.Second
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, lastLine(stderr.String()))
		if ctxErr := ctx.Err(); ctxErr != nil {
			err = errors.Join(err, ctxErr)
		}
	}
	return string(out), err
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}
