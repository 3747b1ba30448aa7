// Package load is open-loop device load over HTTP/3: requests start on
// schedule whatever the answers are, and latency counts from the moment a
// request was due, so that a slow mesh cannot hide behind its own slowness
// (coordinated omission; Tene, "How NOT to Measure Latency", 2013).
package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// Edge is where devices of one region connect.
type Edge struct {
	Region string
	Agent  string // whose it is; only for results
	Addr   string // "host:port", UDP
}

// Kind is one sort of message a device sends.
type Kind struct {
	Name   string
	Class  policy.Class // the class its route gives it; only for the report
	Method string
	Path   string // "{device}" stands for the device's id
	Host   string // default: the edge's
	Body   int    // bytes
	Header map[string]string
	Weight int // share among the kinds
}

// Config describes a load. Edges, Kinds, Devices and Rate are required.
type Config struct {
	Edges    []Edge
	Kinds    []Kind
	Devices  int                                       // spread evenly over the edges
	Rate     float64                                   // requests a second, all devices together
	Duration time.Duration                             // 0: until the context ends
	Timeout  time.Duration                             // of one request; default 10 s
	TLS      *tls.Config                               // roots to trust
	Identity func(device int) (tls.Certificate, error) // nil: devices show no certificate
	Seed     uint64
	Observe  func(Result) // called concurrently with every result; must be quick
}

// Result is what became of one request.
type Result struct {
	Due     time.Time // when it was to be sent
	Latency time.Duration
	Edge    string // region of the edge it was sent to
	Agent   string // that edge's agent
	Kind    *Kind
	Status  int    // 0: no answer
	Region  string // that served, from the X-Served-By header of sample services
	Err     error
}

// Outcome sorts results: what was refused on purpose is not a failure.
type Outcome uint8

// The outcomes.
const (
	Succeeded Outcome = iota // 2xx
	Shed                     // 503 and 429: refused with a time to come back
	Failed                   // everything else
)

// Outcome of the result.
func (r *Result) Outcome() Outcome {
	switch {
	case r.Err == nil && r.Status >= 200 && r.Status < 300:
		return Succeeded
	case r.Err == nil && (r.Status == 503 || r.Status == 429):
		return Shed
	}
	return Failed
}

// ErrConfig is the kind of errors about a load that makes no sense.
var ErrConfig = fmt.Errorf("load: %w", policy.ErrInvalid)

// maxOutstanding bounds the requests that wait for an answer; what is due
// beyond it fails at once, with errOverrun.
const maxOutstanding = 20000

var errOverrun = errors.New("generator has too many requests outstanding")

// Run generates the load and returns its report.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	g := &generator{cfg: cfg, report: newReport(cfg), rng: rand.New(rand.NewPCG(cfg.Seed, 1))}
	defer g.close()
	if err := g.makeDevices(ctx); err != nil {
		return nil, err
	}
	g.schedule(ctx)
	g.wait.Wait()
	g.report.finish()
	return g.report, nil
}

func (c *Config) check() error {
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	weights := 0
	for _, k := range c.Kinds {
		if k.Weight < 0 {
			return fmt.Errorf("%w: kind %s: weight %d is negative", ErrConfig, k.Name, k.Weight)
		}
		weights += k.Weight
	}
	switch {
	case c.TLS == nil:
		return fmt.Errorf("%w: no TLS configuration: say which roots to trust", ErrConfig)
	case c.Duration < 0 || c.Timeout < 0:
		return fmt.Errorf("%w: duration %s, timeout %s: use none below 0", ErrConfig, c.Duration, c.Timeout)
	case len(c.Edges) == 0:
		return fmt.Errorf("%w: no edge to connect to", ErrConfig)
	case weights <= 0:
		return fmt.Errorf("%w: no kind of message has a weight", ErrConfig)
	case c.Devices < 1 || c.Devices > 100000:
		return fmt.Errorf("%w: %d devices: use 1 to 100000", ErrConfig, c.Devices)
	case c.Rate <= 0 || c.Rate > 1e6:
		return fmt.Errorf("%w: rate %g: use more than 0, at most 1000000 a second", ErrConfig, c.Rate)
	}
	return nil
}

type generator struct {
	cfg         Config
	report      *Report
	rng         *rand.Rand // of the scheduler alone
	devices     []*device
	sockets     []*socket
	outstanding atomic.Int64
	wait        sync.WaitGroup
}

// schedule starts one request every 1/rate seconds, those that are late
// included, until the time is over.
func (g *generator) schedule(ctx context.Context) {
	gap := time.Duration(float64(time.Second) / g.cfg.Rate)
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		due := start.Add(time.Duration(n) * gap)
		if g.cfg.Duration > 0 && due.Sub(start) >= g.cfg.Duration {
			return
		}
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
		} else if ctx.Err() != nil {
			return
		}
		g.report.started(time.Since(due))
		g.launch(ctx, n, due)
	}
}

func (g *generator) launch(ctx context.Context, n int, due time.Time) {
	d := g.devices[n%len(g.devices)]
	kind := g.pick()
	if g.outstanding.Load() >= maxOutstanding {
		g.observe(Result{Due: due, Edge: d.edge.Region, Agent: d.edge.Agent, Kind: kind, Err: errOverrun})
		return
	}
	g.outstanding.Add(1)
	g.wait.Go(func() {
		defer g.outstanding.Add(-1)
		r := d.send(ctx, kind, due, g.cfg.Timeout)
		if r.Err != nil && ctx.Err() != nil {
			return // the load was stopped, the request did not fail
		}
		g.observe(r)
	})
}

func (g *generator) observe(r Result) {
	g.report.add(&r)
	if g.cfg.Observe != nil {
		g.cfg.Observe(r)
	}
}

func (g *generator) pick() *Kind {
	total := 0
	for i := range g.cfg.Kinds {
		total += g.cfg.Kinds[i].Weight
	}
	n := g.rng.IntN(total)
	for i := range g.cfg.Kinds {
		if n -= g.cfg.Kinds[i].Weight; n < 0 {
			return &g.cfg.Kinds[i]
		}
	}
	return &g.cfg.Kinds[0]
}
