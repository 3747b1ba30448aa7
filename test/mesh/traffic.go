package mesh

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// answerWithin is how long Traffic waits for one answer.
const answerWithin = 5 * time.Second

// Traffic is open-loop load of idempotent requests at some edges: they start
// on schedule whatever the answers are.
type Traffic struct {
	t       testing.TB
	path    string
	devices []*Device
	stop    chan struct{}
	flying  sync.WaitGroup
	once    sync.Once

	mu      sync.Mutex // guards results
	results []Result
}

// Result is what became of one request of Traffic. Its latency counts from the
// moment it was due.
type Result struct {
	Due     time.Time
	Late    time.Duration // until it was sent
	Latency time.Duration
	Edge    string // address
	Region  string // that served it
	Status  int    // 0: no answer
	Err     error
}

// OK says whether the request succeeded.
func (r Result) OK() bool { return r.Err == nil && r.Status >= 200 && r.Status < 300 }

func (r Result) String() string {
	return fmt.Sprintf("due %s at edge %s: status %d from %q after %s, error %v",
		r.Due.Format("15:04:05.000"), r.Edge, r.Status, r.Region, r.Latency.Round(time.Millisecond), r.Err)
}

// StartTraffic sends GETs of path, rate a second, in turn to the edges of
// agents, until Stop. It returns when all edges serve.
func StartTraffic(t testing.TB, path string, rate int, agents ...*Agent) *Traffic {
	t.Helper()
	tr := &Traffic{t: t, path: path, stop: make(chan struct{})}
	for _, a := range agents {
		tr.devices = append(tr.devices, a.Device(t, "", nil), a.Device(t, "", nil))
	}
	ctx := context.WithoutCancel(t.Context())
	tr.flying.Go(func() { tr.schedule(ctx, time.Second/time.Duration(rate)) })
	t.Cleanup(func() { tr.Stop() })
	tr.AwaitServed(time.Now(), 2*len(tr.devices), "")
	return tr
}

func (tr *Traffic) schedule(ctx context.Context, gap time.Duration) {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		due := start.Add(time.Duration(n) * gap)
		timer.Reset(time.Until(due))
		select {
		case <-tr.stop:
			return
		case <-timer.C:
		}
		device := tr.devices[n%len(tr.devices)]
		tr.flying.Go(func() { tr.send(ctx, device, due) })
	}
}

func (tr *Traffic) send(ctx context.Context, device *Device, due time.Time) {
	ctx, cancel := context.WithDeadline(ctx, due.Add(answerWithin))
	defer cancel()
	late := time.Since(due)
	ans, err := device.Try(ctx, Request{Path: tr.path})
	r := Result{Due: due, Late: late, Latency: time.Since(due), Edge: device.addr, Err: err}
	if err == nil {
		r.Status = ans.Status
		r.Region, _, _ = strings.Cut(ans.ServedBy(), "/")
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.results = append(tr.results, r)
}

// Since returns the answered requests that were due from a moment on.
func (tr *Traffic) Since(from time.Time) []Result {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var some []Result
	for _, r := range tr.results {
		if !r.Due.Before(from) {
			some = append(some, r)
		}
	}
	return some
}

// AwaitServed waits until the last n requests that were due since a moment all
// succeeded, in the region when one is named.
func (tr *Traffic) AwaitServed(from time.Time, n int, region string) {
	tr.t.Helper()
	Await(tr.t, 40*time.Second, func() string {
		some := tr.Since(from)
		if len(some) < n {
			return fmt.Sprintf("%d of %d requests were answered", len(some), n)
		}
		for _, r := range some[len(some)-n:] {
			if !r.OK() || region != "" && r.Region != region {
				return fmt.Sprintf("%d requests in a row served by %q: %s", n, region, r)
			}
		}
		return ""
	})
}

// AwaitSent waits until n requests that were due since a moment are answered.
func (tr *Traffic) AwaitSent(from time.Time, n int) {
	tr.t.Helper()
	Await(tr.t, 40*time.Second, func() string {
		if got := len(tr.Since(from)); got < n {
			return fmt.Sprintf("%d of %d requests were answered", got, n)
		}
		return ""
	})
}

// Stop ends the load and waits for the answers that are outstanding.
func (tr *Traffic) Stop() {
	tr.once.Do(func() { close(tr.stop) })
	tr.flying.Wait()
}
