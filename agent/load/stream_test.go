package load

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// watched collects the results of a load.
func watched(cfg *Config) *[]Result {
	var mu sync.Mutex
	all := &[]Result{}
	cfg.Observe = func(r Result) {
		mu.Lock()
		defer mu.Unlock()
		*all = append(*all, r)
	}
	return all
}

func run(t *testing.T, cfg Config) *Report {
	t.Helper()
	report, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestExtraLoadComesOnTopForItsTimeAndFromItsTenant(t *testing.T) {
	cfg := edgeOf(t, func(http.ResponseWriter, *http.Request) {})
	cfg.Kinds = append(cfg.Kinds, Kind{Name: "logs", Class: policy.Bulk, Method: "POST", Path: "/logs", Weight: 1})
	cfg.Tenants = []string{"a", "b"}
	cfg.Extra = []Extra{{From: 300 * time.Millisecond, Until: 600 * time.Millisecond, Rate: 200, Kinds: []string{"logs"}, Tenant: "b"}}
	all := watched(&cfg)
	report := run(t, cfg)
	first := (*all)[0].Due
	for _, r := range *all {
		if r.Due.Before(first) {
			first = r.Due
		}
	}
	inside, ofB := 0, 0
	for _, r := range *all {
		if at := r.Due.Sub(first); at >= 300*time.Millisecond && at < 600*time.Millisecond {
			inside++
			if r.Tenant == "b" && r.Kind.Name == "logs" {
				ofB++
			}
		}
	}
	if len(*all) != 160 || inside != 90 || ofB < 60 {
		t.Errorf("%d requests, %d in the step, %d of them logs of b; want 160, 90, at least 60", len(*all), inside, ofB)
	}
	if sent := report.Tenants["a"]["critical"].Sent + report.Tenants["a"]["bulk"].Sent; sent != 50 {
		t.Errorf("tenant a sent %d, want its half of the usual load, 50", sent)
	}
}

func TestTenantsAreAtEveryEdge(t *testing.T) {
	cfg := Config{Edges: make([]Edge, 6), Tenants: []string{"a", "b"}}
	seen := map[string]bool{}
	for n := range 24 {
		seen[fmt.Sprint(n%6, cfg.TenantOf(n))] = true
	}
	if len(seen) != 12 {
		t.Errorf("%d pairs of edge and tenant, want 12: %v", len(seen), seen)
	}
}

func TestDevicesMoveAwayAndReturn(t *testing.T) {
	edges := []Edge{{Region: "eu-1", Agent: "a"}, {Region: "eu-2", Agent: "b"}, {Region: "us-1", Agent: "c"}}
	g := &generator{cfg: Config{Edges: edges, Devices: 12}}
	for n := range 12 {
		g.devices = append(g.devices, &device{home: g.cfg.home(n)})
	}
	g.number()
	g.cfg.Moves = []Move{{Region: "eu-2", From: 10 * time.Second, Until: 20 * time.Second, Over: 4 * time.Second}}
	at := func(s float64) map[string]int {
		count := map[string]int{}
		for _, d := range g.devices {
			count[g.edgeOf(d, time.Duration(s*float64(time.Second))).Region]++
		}
		return count
	}
	for _, c := range []struct {
		at            float64
		eu1, eu2, us1 int
		when          string
	}{
		{9.9, 4, 4, 4, "before"}, {12.5, 6, 1, 5, "most have left"}, {14, 6, 0, 6, "all have left"},
		{19.9, 6, 0, 6, "still away"}, {20, 4, 4, 4, "all back at once"},
	} {
		if got := at(c.at); got["eu-1"] != c.eu1 || got["eu-2"] != c.eu2 || got["us-1"] != c.us1 {
			t.Errorf("%s: %v", c.when, got)
		}
	}
}

func TestDevicesMoveToTheOtherEdgeForReal(t *testing.T) {
	here := edgeOf(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Served-By", "eu-1/x") })
	there := edgeOf(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Served-By", "us-1/x") })
	there.Edges[0].Region = "us-1"
	cfg := here
	cfg.Edges = append(cfg.Edges, there.Edges...)
	cfg.TLS = cfg.TLS.Clone()
	cfg.TLS.InsecureSkipVerify = true // two authorities
	cfg.Moves = []Move{{Region: "eu-1", From: 500 * time.Millisecond}}
	all := watched(&cfg)
	run(t, cfg)
	late := 0
	for _, r := range *all {
		if r.Region != r.Edge {
			t.Fatalf("sent to %s, answered by %s", r.Edge, r.Region)
		}
		if r.Edge == "us-1" {
			late++
		}
	}
	if late != 75 { // half of the first 50, all of the others
		t.Errorf("us-1 answered %d, want 75", late)
	}
}

func refusing(times int, header string) (http.HandlerFunc, *sync.Map) {
	seen := &sync.Map{}
	return func(w http.ResponseWriter, r *http.Request) {
		n, _ := seen.LoadOrStore(r.Header.Get("X-Message"), new(int))
		if *n.(*int)++; *n.(*int) > times {
			return
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Retry-After", header)
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"reason":"overload","class":"critical","retry_after_ms":300}`)
	}, seen
}

func TestClientsComeBackWhenToldOrHastily(t *testing.T) {
	for name, c := range map[string]struct {
		retry    Retry
		attempts int
		outcome  Outcome
		least    time.Duration
		most     time.Duration
	}{
		"not at all":       {Retry{}, 1, Shed, 0, 250 * time.Millisecond},
		"when told":        {Retry{Attempts: 5}, 3, Succeeded, 600 * time.Millisecond, 5 * time.Second},
		"hastily":          {Retry{Attempts: 5, Hasty: true, Pause: 10 * time.Millisecond}, 3, Succeeded, 20 * time.Millisecond, 500 * time.Millisecond},
		"but not for ever": {Retry{Attempts: 2, Hasty: true, Pause: time.Millisecond}, 2, Shed, time.Millisecond, 500 * time.Millisecond},
	} {
		handler, _ := refusing(2, "1")
		cfg := edgeOf(t, handler)
		cfg.Devices, cfg.Rate, cfg.Duration, cfg.Retry = 1, 1, 500*time.Millisecond, c.retry
		all := watched(&cfg)
		report := run(t, cfg)
		r := (*all)[0]
		if r.Attempts != c.attempts || r.Outcome() != c.outcome || r.Latency < c.least || r.Latency > c.most || r.Refused == 0 || r.Refused > r.Latency {
			t.Errorf("%s: %+v", name, r)
		}
		if r.Outcome() == Shed && r.Reason != "overload" {
			t.Errorf("%s: reason %q", name, r.Reason)
		}
		if got := report.Classes["critical"].Attempts; got != int64(c.attempts) {
			t.Errorf("%s: the report counts %d attempts", name, got)
		}
	}
}

func TestRequestsTellTheirDeadline(t *testing.T) {
	var told sync.Map
	cfg := edgeOf(t, func(_ http.ResponseWriter, r *http.Request) { told.Store(r.Header.Get("Request-Timeout"), true) })
	cfg.Duration, cfg.Deadline = 100*time.Millisecond, 1500*time.Millisecond
	run(t, cfg)
	if _, ok := told.Load("1.5"); !ok {
		told.Range(func(k, _ any) bool { t.Errorf("told %q, want 1.5", k); return true })
	}
}

func TestLoadOfNobodyIsRefused(t *testing.T) {
	for says, spoil := range map[string]func(*Config){
		"extra rate 0":             func(c *Config) { c.Extra = []Extra{{}} },
		"nothing lies between":     func(c *Config) { c.Extra = []Extra{{Rate: 1, From: 2, Until: 1}} },
		`kinds ["x"] has a weight`: func(c *Config) { c.Extra = []Extra{{Rate: 1, Kinds: []string{"x"}}} },
		`tenant "x"`:               func(c *Config) { c.Extra = []Extra{{Rate: 1, Tenant: "x"}} },
		`region "x"`:               func(c *Config) { c.Extra = []Extra{{Rate: 1, Region: "x"}} },
		"cannot move":              func(c *Config) { c.Moves = []Move{{Region: "eu-1"}} },
		"devices move from 2ns":    func(c *Config) { c.Moves = []Move{{Region: "eu-1", From: 2, Until: 1}} },
		"101 attempts":             func(c *Config) { c.Retry.Attempts = 101 },
		"deadline -1ns":            func(c *Config) { c.Deadline = -1 },
	} {
		cfg := edgeOf(t, func(http.ResponseWriter, *http.Request) {})
		spoil(&cfg)
		if _, err := Run(t.Context(), cfg); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}
