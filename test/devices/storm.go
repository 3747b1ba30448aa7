package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/tidegate/tidegate/agent/load"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/test/child"
)

const (
	criticalRate   = 200 // requests a second
	stormBase      = 10 * time.Second
	stormWarmUp    = 2 * time.Second
	stormLongest   = 2 * time.Minute
	mostSlowdown   = 4.0 // times the 99th percentile before
	mostSecondsOut = 30.0
)

// mesh is a mesh in a process of its own.
type mesh struct {
	server
	meshAt
}

func (l *lab) startMesh(ctx context.Context) (*mesh, error) {
	proc, line, err := child.StartSelf(ctx, filepath.Join(l.dir, roleMesh+".log"), roleMesh, envDir+"="+l.dir)
	if err != nil {
		return nil, err
	}
	m := &mesh{server: server{Process: proc}}
	if err := json.Unmarshal([]byte(line), &m.meshAt); err != nil {
		proc.Kill()
		return nil, fmt.Errorf("the mesh printed %q: %w", line, err)
	}
	m.server.control = m.Control
	return m, nil
}

// meshClient is what devices of a mesh need, from its files.
func (l *lab) meshClient(protocols ...string) (*tls.Config, error) {
	conf, err := clientOf(l.dir)
	if err != nil {
		return nil, err
	}
	conf.NextProtos = protocols
	return conf, nil
}

// runStorm takes the agent of thousands of devices away, and sees how they come to its
// fellow while critical traffic flows there.
func (l *lab) runStorm(ctx context.Context, opt options) ([]bar, error) {
	m, err := l.startMesh(ctx)
	if err != nil {
		return nil, err
	}
	defer m.Kill()
	f, err := l.start(ctx, roleFleet)
	if err != nil {
		return nil, err
	}
	defer f.Kill()
	came, err := f.come(ctx, m.Edges[0], opt.connections)
	if err != nil {
		return nil, err
	}
	say("%d devices came in %.1f s: %d attempts, %d refused (%s)", opt.connections, came.Seconds, came.Attempts, came.Refused, came.Reason)
	critical, err := l.beginCritical(ctx, m)
	if err != nil {
		return nil, err
	}
	defer critical.stop()
	pause(ctx, stormWarmUp+stormBase)
	began := time.Now()
	cpu, err := m.CPU()
	if err != nil {
		return nil, err
	}
	crashed := make(chan error, 1)
	go func() {
		_, err := m.ask(ctx, "/crash")
		crashed <- err
	}()
	back, err := f.come(ctx, m.Edges[1], opt.connections)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, m.Tail())
	}
	ended := time.Now()
	if err := <-crashed; err != nil {
		return nil, err
	}
	after, err := m.CPU()
	if err != nil {
		return nil, err
	}
	evictions, err := m.count(ctx, "/evictions")
	if err != nil {
		return nil, err
	}
	edge, err := m.ask(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	base, _ := critical.between(began.Add(-stormBase), began)
	storm, failed := critical.between(began, ended)
	say("storm: all %d back after %.1f s, half after %.1f s: %.0f handshakes a second, %d attempts, %d refused (%s)",
		opt.connections, back.Seconds, back.Median, float64(opt.connections)/back.Seconds, back.Attempts, back.Refused, back.Reason)
	say("the mesh used %.1f s of CPU time; the edge: %s", (after - cpu).Seconds(), edge)
	say("critical: p99 %s before, %s in the storm (median %s and %s); %d of %d failed",
		quantile(base, 0.99), quantile(storm, 0.99), quantile(base, 0.5), quantile(storm, 0.5), failed, len(storm))
	return []bar{
		atMost("storm: critical p99, of that before", float64(quantile(storm, 0.99))/float64(quantile(base, 0.99)), mostSlowdown, "×"),
		atMost("storm: regions held for dead", float64(evictions), 0, ""),
		atMost("storm: until all devices are back", back.Seconds, mostSecondsOut, "s"),
		told("storm: critical p99", float64(quantile(storm, 0.99).Microseconds())/1000, "ms"),
		told("storm: critical p99 before", float64(quantile(base, 0.99).Microseconds())/1000, "ms"),
		told("storm: critical requests that failed", float64(failed), ""),
		told("storm: handshakes a second", float64(opt.connections)/back.Seconds, "/s"),
		told("storm: attempts refused", float64(back.Refused), ""),
	}, nil
}

// come has n devices connect to an address, and waits for the last one.
func (s *server) come(ctx context.Context, addr string, n int) (c comeback, err error) {
	ctx, cancel := context.WithTimeout(ctx, stormLongest)
	defer cancel()
	text, err := s.ask(ctx, "/?"+url.Values{"addr": {addr}, "n": {strconv.Itoa(n)}}.Encode())
	if err != nil {
		return c, fmt.Errorf("not all devices came within %s: %w", stormLongest, err)
	}
	return c, json.Unmarshal(text, &c)
}

// critical is the traffic that must not suffer.
type critical struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	results []load.Result
}

func (l *lab) beginCritical(ctx context.Context, m *mesh) (*critical, error) {
	conf, err := l.meshClient()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &critical{cancel: cancel, done: make(chan struct{})}
	cert := conf.Certificates[0]
	cfg := load.Config{
		Edges: []load.Edge{{Region: "eu-1", Addr: m.Edges[1]}}, Devices: 20, Rate: criticalRate, TLS: conf,
		Kinds:    []load.Kind{{Name: "alarm", Class: policy.Critical, Method: "POST", Path: "/alarms", Body: 120, Weight: 1}},
		Identity: func(int) (tls.Certificate, error) { return cert, nil },
		Observe:  c.observe,
	}
	go func() {
		defer close(c.done)
		_, _ = load.Run(ctx, cfg) // its results have been observed
	}()
	return c, nil
}

func (c *critical) stop() {
	c.cancel()
	<-c.done
}

func (c *critical) observe(r load.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.results = append(c.results, r)
}

// between returns the latencies of what was due then, and how many failed.
func (c *critical) between(from, to time.Time) (took []time.Duration, failed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.results {
		if r.Due.Before(from) || !r.Due.Before(to) {
			continue
		}
		took = append(took, r.Latency)
		if r.Outcome() != load.Succeeded {
			failed++
		}
	}
	slices.Sort(took)
	return took, failed
}

// quantile of what is sorted.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
