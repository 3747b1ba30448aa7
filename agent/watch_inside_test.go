package agent

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A file that cannot be loaded is tried again until it can: what it takes back
// must not wait for the next change.
func TestAWatchedFileIsLoadedWhenItChangedUntilThatWorks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write := func(text string) {
		t.Helper()
		next := path + ".next"
		if err := errors.Join(os.WriteFile(next, []byte(text), 0o600), os.Rename(next, path)); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	synctest.Test(t, func(t *testing.T) {
		var loads atomic.Int32
		var faulty atomic.Bool
		var said bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() {
			watchFile(ctx, path, slog.New(slog.NewTextHandler(&said, nil)), func() error {
				loads.Add(1)
				if faulty.Load() {
					return errors.New("half written")
				}
				return nil
			})
		})
		expect := func(after time.Duration, want int32, what string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if got := loads.Load(); got != want {
				t.Errorf("%s: loaded %d times, want %d", what, got, want)
			}
		}
		expect(10*watchEvery, 1, "as it was")
		write("two")
		expect(watchEvery, 2, "replaced by one as large")
		faulty.Store(true)
		write("three")
		expect(3*watchEvery, 5, "at fault")
		faulty.Store(false)
		expect(10*watchEvery, 6, "mended")
		_ = os.Remove(path)
		expect(3*watchEvery, 6, "removed")
		cancel()
		done.Wait()
		if half, gone := strings.Count(said.String(), "half written"), strings.Count(said.String(), "no such file"); half != 1 || gone != 1 {
			t.Errorf("said %d and %d times: %s", half, gone, said.String())
		}
	})
}
