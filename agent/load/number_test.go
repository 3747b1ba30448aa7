package load

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/ledger"
)

func TestEveryMessageHasItsNumberThroughAllAttempts(t *testing.T) {
	var mu sync.Mutex
	came := map[string]int{}
	cfg := edgeOf(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		id := r.Header.Get(ledger.Header)
		if came[id]++; came[id] == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	cfg.Run, cfg.Retry = "r", Retry{Attempts: 2, Pause: time.Millisecond}
	launched := map[string]bool{}
	cfg.Launch = func(r Result) {
		mu.Lock()
		defer mu.Unlock()
		launched[r.ID("r")] = true
	}
	all := watched(&cfg)
	run(t, cfg)
	mu.Lock()
	defer mu.Unlock()
	if len(*all) != 100 || len(came) != 100 || len(launched) != 100 {
		t.Fatalf("%d results, %d ids came, %d were launched", len(*all), len(came), len(launched))
	}
	for _, r := range *all {
		if id := fmt.Sprintf("r/%s/%d", r.Device, r.Number); r.ID("r") != id || came[id] != 2 || !launched[id] || r.Number < 1 || r.Number > 25 || r.Attempts != 2 {
			t.Errorf("%+v came %d times", r, came[id])
		}
	}
}

func TestMessagesTellNoNumberUnlessAsked(t *testing.T) {
	cfg := edgeOf(t, func(_ http.ResponseWriter, r *http.Request) {
		if id, told := r.Header[ledger.Header]; told {
			t.Errorf("told: %q", id)
		}
	})
	run(t, cfg)
}
