package agent

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestPolicyIsReadThoughItsDirectoryNeverRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "policy.hcl")
		answers := "route \"a\" {\n match {\n path = \"/a\"\n }\n respond {\n status = 204\n }\n}\n"
		if err := os.WriteFile(file, []byte(answers), 0o600); err != nil {
			t.Fatal(err)
		}
		p := &policies{file: file, log: slog.New(slog.DiscardHandler), changed: make(chan struct{}, 1),
			metrics: newMetrics(prometheus.NewRegistry(), new(atomic.Int64))}
		accepted := func() float64 { return testutil.ToFloat64(p.metrics.policies.WithLabelValues("accepted")) }
		ctx, cancel := context.WithCancel(t.Context())
		w := &fsnotify.Watcher{Events: make(chan fsnotify.Event), Errors: make(chan error)}
		go p.settle(ctx, w)
		defer synctest.Wait()
		defer cancel()
		for range 4 { // quiet for less than a reload waits
			w.Events <- fsnotify.Event{}
			time.Sleep(50 * time.Millisecond)
		}
		if accepted() != 0 {
			t.Error("read in the middle of a burst")
		}
		for range 20 {
			w.Events <- fsnotify.Event{}
			time.Sleep(50 * time.Millisecond)
		}
		if accepted() != 1 {
			t.Errorf("read %v times in 1.2 s of changes, want once", accepted())
		}
	})
}
