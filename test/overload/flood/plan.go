// Package flood is open-loop load of many devices: requests start on schedule
// whatever the answers are, and latency counts from the moment a request was
// due (coordinated omission; Tene, "How NOT to Measure Latency", 2013).
package flood

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// Kind is one sort of message.
type Kind struct {
	Name   string
	Class  policy.Class // that the policy gives it
	Path   string
	Weight float64 // share among the kinds
	Group  int     // of devices that send it
}

// Phase is a stretch of time with one rate, in requests a second.
type Phase struct {
	For  time.Duration
	Rate float64
}

// Plan is a load. Arrivals are a Poisson process, or evenly spaced; both
// follow from the seed.
type Plan struct {
	Phases  []Phase
	Kinds   []Kind
	Even    bool
	Timeout time.Duration // of one attempt; also its deadline
	Retry   Retry
	Seed    uint64
}

// Retry is what clients do with a refusal or no answer: they wait as long as
// the answer asks for, or else a jittered time that doubles, and try again.
type Retry struct {
	Attempts int // in all; up to 1: none
	Wait     time.Duration
}

// Result is what became of one request. Times count from the start of the load.
type Result struct {
	Due      time.Duration
	Took     time.Duration // from Due to the end of the answer, retries included
	Late     time.Duration // how long after Due it was sent
	Kind     uint8         // index among the plan's
	Phase    uint16
	Edge     uint8 // that it was sent to last
	Home     uint8 // where the device belongs
	Attempts uint8
	Status   uint16 // 0: no answer
	Reason   Reason
}

// OK says whether the request succeeded.
func (r *Result) OK() bool { return r.Status >= 200 && r.Status < 300 }

// Refused says whether it was shed: refused on purpose, with an answer.
func (r *Result) Refused() bool { return r.Status == 503 || r.Status == 429 }

// Done is when the answer was there.
func (r *Result) Done() time.Duration { return r.Due + r.Took }

// Load is what a plan did.
type Load struct {
	Plan     *Plan
	Began    time.Time
	Results  []Result // in the order of their ends
	Overruns int      // not sent: too many were outstanding
}

// Client sends one request of a kind to where it chooses.
type Client interface {
	Pick(k *Kind, rng *rand.Rand) Device
	Close()
}

// Device sends messages. Its methods are safe for concurrent use.
type Device interface {
	Send(ctx context.Context, s *Shot) Answer
	Home() int
}

// Shot is one attempt at a request.
type Shot struct {
	Kind     *Kind
	ID       string // empty: none
	Deadline time.Time
}

// Answer is what an attempt brought. Status 0: nothing.
type Answer struct {
	Status     int
	Edge       int
	Reason     Reason
	RetryAfter time.Duration
}

// maxOutstanding bounds the requests that wait for an answer; what is due
// beyond it is not sent and spoils the run.
const maxOutstanding = 30000

type run struct {
	plan        *Plan
	client      Client
	began       time.Time
	rng         *rand.Rand // of the scheduler alone
	jobs        chan job
	outstanding atomic.Int64
	wait        sync.WaitGroup
	overruns    int

	mu      sync.Mutex // guards results
	results []Result
}

type job struct {
	result Result
	device Device
	seed   uint64
}

// Run sends the whole plan and waits for the answers. It ends early with ctx.
func Run(ctx context.Context, p *Plan, c Client) *Load {
	r := &run{plan: p, client: c, began: time.Now(), rng: rand.New(rand.NewPCG(p.Seed, 1)), jobs: make(chan job)}
	r.schedule(ctx)
	close(r.jobs)
	r.wait.Wait()
	return &Load{Plan: p, Began: r.began, Results: r.results, Overruns: r.overruns}
}

func (r *run) schedule(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var start time.Duration
	for i, phase := range r.plan.Phases {
		end := start + phase.For
		for due := start + r.gap(phase.Rate); due < end; due += r.gap(phase.Rate) {
			if !r.sleep(ctx, timer, due) {
				return
			}
			r.launch(ctx, due, i)
		}
		start = end
	}
	r.sleep(ctx, timer, start)
}

func (r *run) gap(rate float64) time.Duration {
	if rate <= 0 {
		return time.Hour
	}
	gap := float64(time.Second) / rate
	if !r.plan.Even {
		gap *= r.rng.ExpFloat64()
	}
	return time.Duration(gap)
}

func (r *run) sleep(ctx context.Context, timer *time.Timer, until time.Duration) bool {
	wait := time.Until(r.began.Add(until))
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer.Reset(wait)
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (r *run) launch(ctx context.Context, due time.Duration, phase int) {
	if r.outstanding.Load() >= maxOutstanding {
		r.overruns++
		return
	}
	r.outstanding.Add(1)
	kind := r.pick()
	d := r.client.Pick(&r.plan.Kinds[kind], r.rng)
	j := job{device: d, seed: r.rng.Uint64(), result: Result{Due: due, Kind: uint8(kind), Phase: uint16(phase), Home: uint8(d.Home())}}
	select {
	case r.jobs <- j: // a worker is free
	default:
		r.wait.Go(func() { r.work(ctx, j) })
	}
}

// work does one request after the other: a goroutine for each would grow its
// stack each time.
func (r *run) work(ctx context.Context, j job) {
	for more := true; more; j, more = <-r.jobs {
		r.send(ctx, &j)
		r.outstanding.Add(-1)
		if ctx.Err() == nil {
			r.keep(j.result)
		}
	}
}

func (r *run) keep(res Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, res)
}

func (r *run) pick() int {
	var total float64
	for i := range r.plan.Kinds {
		total += r.plan.Kinds[i].Weight
	}
	at := r.rng.Float64() * total
	for i := range r.plan.Kinds {
		if at -= r.plan.Kinds[i].Weight; at < 0 {
			return i
		}
	}
	return len(r.plan.Kinds) - 1
}
