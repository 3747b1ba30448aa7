package load

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// A closed loop would have at most one slow request a device: the four devices
// would send four, and wait.
func TestStallShowsAsLatencyNotAsFewerRequests(t *testing.T) {
	var begin, end atomic.Int64 // of the stall, Unix nanoseconds
	begin.Store(time.Now().Add(time.Hour).UnixNano())
	cfg := edgeOf(t, func(_ http.ResponseWriter, r *http.Request) {
		if now := time.Now().UnixNano(); now >= begin.Load() && now < end.Load() {
			resume := time.NewTimer(time.Duration(end.Load() - now))
			defer resume.Stop()
			select {
			case <-resume.C:
			case <-r.Context().Done():
			}
		}
	})
	cfg.Duration = 2 * time.Second
	start := time.Now()
	begin.Store(start.Add(500 * time.Millisecond).UnixNano())
	end.Store(start.Add(1500 * time.Millisecond).UnixNano())
	var slow atomic.Int64
	cfg.Observe = func(r Result) {
		if r.Latency >= 400*time.Millisecond {
			slow.Add(1)
		}
	}
	report, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	c := report.Classes["critical"]
	if c.Sent != 200 || c.Succeeded != 200 {
		t.Errorf("sent %d, succeeded %d, want all of the schedule, 200", c.Sent, c.Succeeded)
	}
	if n := slow.Load(); n < 50 {
		t.Errorf("%d requests were slow, want those due in the first 600 ms of the stall, about 60", n)
	}
	if c.P99 < 800 || c.P50 > 800 {
		t.Errorf("p50 %.0f ms, p99 %.0f ms, want the stall in the tail alone", c.P50, c.P99)
	}
}

func TestRequestsCarryWhatTheirKindSays(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]bool{}
	cfg := edgeOf(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if r.Method != "PUT" || r.Host != "things.example" || len(body) != 7 || r.Header.Get("X-Kind") != "k" {
			t.Errorf("%s host %q, %d bytes, header %q", r.Method, r.Host, len(body), r.Header.Get("X-Kind"))
		}
		seen[r.URL.Path] = true
		w.Header().Set("X-Served-By", "us-1/alarms-2")
	})
	cfg.Kinds = []Kind{{Name: "k", Class: policy.Bulk, Method: "PUT", Path: "/d/{device}/x", Host: "things.example",
		Body: 7, Weight: 1, Header: map[string]string{"X-Kind": "k"}}}
	cfg.Duration = 200 * time.Millisecond
	var results []Result
	cfg.Observe = func(r Result) {
		mu.Lock()
		defer mu.Unlock()
		results = append(results, r)
	}
	if _, err := Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/d/device-0/x", "/d/device-3/x"} {
		if !seen[path] {
			t.Errorf("nothing was sent to %s", path)
		}
	}
	if len(results) != 20 {
		t.Fatalf("%d results, want 20", len(results))
	}
	for _, r := range results {
		if r.Edge != "eu-1" || r.Agent != "a1" || r.Region != "us-1" || r.Status != 200 || r.Kind.Name != "k" {
			t.Fatalf("result %+v", r)
		}
	}
}

func TestStoppedLoadCountsNoFailure(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var arrived atomic.Int64
	cfg := edgeOf(t, func(_ http.ResponseWriter, r *http.Request) {
		if arrived.Add(1) == 10 {
			cancel()
		}
		<-r.Context().Done()
	})
	cfg.Duration = 0
	report, err := Run(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if c := report.Classes["critical"]; c.Sent != 0 || c.Failed != 0 {
		t.Errorf("%d sent, %d failed: requests that the load itself gave up were counted", c.Sent, c.Failed)
	}
}

func TestNoAnswerInTimeIsAFailure(t *testing.T) {
	cfg := edgeOf(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	cfg.Duration, cfg.Timeout = 100*time.Millisecond, 200*time.Millisecond
	report, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if c := report.Classes["critical"]; c.Failed != 10 || c.Sent != 10 || c.P99 != 0 {
		t.Errorf("failed %d of %d, p99 of answers %.0f ms; want 10 of 10, none", c.Failed, c.Sent, c.P99)
	}
}

func TestTooManyOutstandingAreToldNotSent(t *testing.T) {
	cfg := Config{Kinds: []Kind{{Class: policy.Bulk, Weight: 1}}}
	g := &generator{cfg: cfg, report: newReport(cfg)}
	g.outstanding.Store(maxOutstanding)
	g.launch(t.Context(), &device{home: &Edge{}}, &cfg.Kinds[0], time.Now())
	g.report.finish()
	if g.report.Overruns != 1 || g.report.Classes["bulk"].Failed != 1 || g.report.OnTime {
		t.Errorf("%d overruns, %d failed, on time %v", g.report.Overruns, g.report.Classes["bulk"].Failed, g.report.OnTime)
	}
}

func TestLoadThatMakesNoSenseIsRefused(t *testing.T) {
	for says, spoil := range map[string]func(*Config){
		"no edge":         func(c *Config) { c.Edges = nil },
		"no kind":         func(c *Config) { c.Kinds = nil },
		"is negative":     func(c *Config) { c.Kinds = append(c.Kinds, Kind{Weight: -1}) },
		"0 devices":       func(c *Config) { c.Devices = 0 },
		"rate 0":          func(c *Config) { c.Rate = 0 },
		"rate 1e+07":      func(c *Config) { c.Rate = 1e7 },
		"none below 0":    func(c *Config) { c.Timeout = -1 },
		"roots to trust":  func(c *Config) { c.TLS = nil },
		"200000 devices:": func(c *Config) { c.Devices = 200000 },
	} {
		cfg := edgeOf(t, func(http.ResponseWriter, *http.Request) {})
		spoil(&cfg)
		_, err := Run(t.Context(), cfg)
		if !errors.Is(err, ErrConfig) || !errors.Is(err, policy.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}
