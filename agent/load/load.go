// Package load is open-loop device load over HTTP/3 or MQTT: requests start on
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
	"strconv"
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
	Devices  int           // spread evenly over the edges
	Tenants  []string      // spread evenly over the devices of each edge; empty: none has one
	Rate     float64       // requests a second, all devices together
	Extra    []Extra       // on top of it
	Moves    []Move        // of devices between edges
	Retry    Retry         // of what was refused for now
	Over     string        // OverHTTP3 (the default), or MQTT at QoS 1: OverMQTTQUIC, OverMQTTTLS
	Idle     int           // further devices, which connect before the load begins and send nothing
	Storms   []Storm       // in which all devices lose their connections
	Duration time.Duration // 0: until the context ends
	Timeout  time.Duration // of one request with all its attempts; default 10 s

	// Deadline is told with every request, as Request-Timeout; 0: none is.
	Deadline time.Duration

	TLS      *tls.Config                               // roots to trust
	Identity func(device int) (tls.Certificate, error) // nil: devices show no certificate
	Seed     uint64
	Begin    func(time.Time) // called once, with when the first request is due
	Launch   func(Result)    // called concurrently with every request as it starts, if it does; must be quick
	Observe  func(Result)    // called concurrently with every result; must be quick

	// Run begins the id of every message, told as ledger.Header (over MQTT as a user
	// property) and the same in every attempt; empty: none is told.
	Run string
}

// Result is what became of one request.
type Result struct {
	Due     time.Time // when it was to be sent
	Latency time.Duration
	Edge    string // region of the edge it was sent to
	Agent   string // that edge's agent
	Tenant  string // of the device
	Device  string
	Number  uint64 // counts a device's messages in the order in which they are due; from 1
	Kind    *Kind
	Status  int    // 0: no answer
	Region  string // that served, from the X-Served-By header of sample services
	Reason  string // of the last refusal for now, as the agent's problem+json says it
	Err     error

	Attempts int           // 1 unless it was sent again
	Refused  time.Duration // from Due to the first refusal for now; 0: there was none
}

// ID is what a run's messages are known by, wherever they arrive.
func (r *Result) ID(run string) string {
	return run + "/" + r.Device + "/" + strconv.FormatUint(r.Number, 10)
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
	g := &generator{cfg: cfg, report: newReport(cfg)}
	defer g.close()
	if err := g.makeDevices(ctx); err != nil {
		return nil, err
	}
	if err := g.connectIdle(ctx); err != nil {
		return nil, err
	}
	g.began = time.Now()
	if cfg.Begin != nil {
		cfg.Begin(g.began)
	}
	stormy, calm := context.WithCancel(ctx)
	defer calm()
	var schedules, storms sync.WaitGroup
	for _, s := range cfg.Storms {
		storms.Go(func() { g.weather(stormy, s) })
	}
	for n, s := range g.streams() {
		schedules.Go(func() { g.schedule(ctx, s, rand.New(rand.NewPCG(cfg.Seed, uint64(n)+1))) })
	}
	schedules.Wait()
	g.wait.Wait()
	calm()
	storms.Wait()
	g.report.Idle = g.lostIdle()
	g.report.finish()
	return g.report, nil
}

func (c *Config) check() error {
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	for _, k := range c.Kinds {
		if k.Weight < 0 {
			return fmt.Errorf("%w: kind %s: weight %d is negative", ErrConfig, k.Name, k.Weight)
		}
	}
	switch {
	case c.TLS == nil:
		return fmt.Errorf("%w: no TLS configuration: say which roots to trust", ErrConfig)
	case c.Duration < 0 || c.Timeout < 0 || c.Deadline < 0:
		return fmt.Errorf("%w: duration %s, timeout %s, deadline %s: use none below 0", ErrConfig, c.Duration, c.Timeout, c.Deadline)
	case len(c.Edges) == 0:
		return fmt.Errorf("%w: no edge to connect to", ErrConfig)
	case weight(c.Kinds) <= 0:
		return fmt.Errorf("%w: no kind of message has a weight", ErrConfig)
	case c.Devices < 1 || c.Devices > 100000:
		return fmt.Errorf("%w: %d devices: use 1 to 100000", ErrConfig, c.Devices)
	case c.Idle < 0 || c.Idle > 100000:
		return fmt.Errorf("%w: %d idle devices: use 0 to 100000", ErrConfig, c.Idle)
	case c.Rate <= 0 || c.Rate > 1e6:
		return fmt.Errorf("%w: rate %g: use more than 0, at most 1000000 a second", ErrConfig, c.Rate)
	}
	for n := range c.Extra {
		if err := c.checkExtra(&c.Extra[n]); err != nil {
			return err
		}
	}
	for n := range c.Moves {
		if err := c.checkMove(&c.Moves[n]); err != nil {
			return err
		}
	}
	for n := range c.Storms {
		if err := c.checkStorm(&c.Storms[n]); err != nil {
			return err
		}
	}
	if err := c.checkOver(); err != nil {
		return err
	}
	return c.Retry.check()
}

type generator struct {
	cfg         Config
	report      *Report
	began       time.Time
	devices     []*device
	idle        []*device
	sockets     []*socket
	outstanding atomic.Int64
	wait        sync.WaitGroup
	storming    sync.Mutex // held during a storm
}

// schedule starts one request every 1/rate seconds, those that are late
// included, until the time is over.
func (g *generator) schedule(ctx context.Context, s stream, rng *rand.Rand) {
	gap := time.Duration(float64(time.Second) / s.rate)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		at := s.from + time.Duration(n)*gap
		if s.until > 0 && at >= s.until {
			return
		}
		due := g.began.Add(at)
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
		g.launch(ctx, s.devices[n%len(s.devices)], pick(s.kinds, rng), due)
	}
}

func (g *generator) launch(ctx context.Context, d *device, kind *Kind, due time.Time) {
	edge := g.edgeOf(d, due.Sub(g.began))
	r := Result{Due: due, Edge: edge.Region, Agent: edge.Agent, Tenant: d.tenant, Device: d.id, Number: d.numbered.Add(1), Kind: kind}
	if g.outstanding.Load() >= maxOutstanding {
		r.Err, r.Attempts = errOverrun, 1
		g.observe(r)
		return
	}
	if g.cfg.Launch != nil {
		g.cfg.Launch(r)
	}
	g.outstanding.Add(1)
	g.wait.Go(func() {
		defer g.outstanding.Add(-1)
		d.send(ctx, &g.cfg, edge, &r)
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

// weight is that of all kinds together.
func weight(kinds []Kind) int {
	total := 0
	for i := range kinds {
		total += kinds[i].Weight
	}
	return total
}

func pick(kinds []*Kind, rng *rand.Rand) *Kind {
	total := 0
	for _, k := range kinds {
		total += k.Weight
	}
	n := rng.IntN(total)
	for _, k := range kinds {
		if n -= k.Weight; n < 0 {
			return k
		}
	}
	return kinds[0]
}
