package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/tidegate/tidegate/policy"
)

// Storm has all devices lose their connections in one moment, idle ones included, and
// come back with full jitter: each waits for a time between nothing and a second, then
// two, four and so on up to sixteen. What they have to send meanwhile waits, and counts
// from when it was due.
type Storm struct {
	At    time.Duration // since the beginning
	Every time.Duration // again and again; 0: once
}

const (
	firstBackoff = time.Second
	mostBackoff  = 16 * time.Second
)

func (c *Config) checkStorm(s *Storm) error {
	switch {
	case s.At < 0 || s.Every < 0:
		return fmt.Errorf("%w: a storm at %s, every %s: nothing lies before the beginning", ErrConfig, s.At, s.Every)
	case c.Duration > 0 && s.At >= c.Duration:
		return fmt.Errorf("%w: a storm at %s, when the load is over", ErrConfig, s.At)
	}
	return nil
}

// StormReport is how one storm went.
type StormReport struct {
	At          float64  `json:"at_seconds"`   // since the beginning
	Devices     int      `json:"devices"`      // that lost their connection
	Back        int      `json:"back"`         // of them, before the load was over
	Seconds     *float64 `json:"back_seconds"` // until all were back; null: not all were
	Attempts    int64    `json:"attempts"`     // to connect
	Refused     int64    `json:"refused"`      // of them, or not answered in time
	CriticalP99 float64  `json:"critical_p99_ms"`

	from, until time.Time // until is zero while it goes on
	critical    *hdrhistogram.Histogram
}

// weather makes the storms, one after the other: one that comes too early begins when
// the one before is over.
func (g *generator) weather(ctx context.Context, s Storm) {
	for at := s.At; pause(ctx, time.Until(g.began.Add(at))); at += s.Every {
		g.storming.Lock()
		if ctx.Err() == nil {
			g.storm(ctx)
		}
		g.storming.Unlock()
		if s.Every == 0 {
			return
		}
		at = max(at, time.Since(g.began)-s.Every)
	}
}

func (g *generator) storm(ctx context.Context) {
	all := append(append([]*device{}, g.devices...), g.idle...)
	r := g.report.storm(time.Now(), g.began, len(all))
	var attempts, refused, back atomic.Int64
	var out sync.WaitGroup
	for _, d := range all {
		comes := d.lose()
		out.Go(func() {
			defer close(comes)
			d.link.drop()
			tries, ok := d.comeBack(ctx, &g.cfg, g.edgeOf(d, time.Since(g.began)))
			attempts.Add(tries)
			refused.Add(tries)
			if ok {
				back.Add(1)
				refused.Add(-1)
			}
		})
	}
	out.Wait()
	g.report.calm(r, time.Now(), attempts.Load(), refused.Load(), int(back.Load()))
}

// lose notes that a device is about to lose its connections. Until the channel that it
// returns is closed, the device sends nothing.
func (d *device) lose() chan struct{} {
	comes := make(chan struct{})
	d.away.Store(&comes)
	d.drops.Add(1)
	return comes
}

// comeBack returns how often it tried, and whether it got through.
func (d *device) comeBack(ctx context.Context, cfg *Config, edge *Edge) (tries int64, ok bool) {
	for most := firstBackoff; pause(ctx, rand.N(most)); most = min(2*most, mostBackoff) {
		tries++
		within, cancel := context.WithTimeout(ctx, cfg.Timeout)
		err := d.link.connect(within, edge.Addr)
		cancel()
		if err == nil {
			return tries, true
		}
	}
	return tries, false
}

// present waits until the device has its connection back, if it lost it.
func (d *device) present(ctx context.Context) bool {
	comes := d.away.Load()
	if comes == nil {
		return true
	}
	select {
	case <-*comes:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *Report) storm(now, began time.Time, devices int) *StormReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &StormReport{At: now.Sub(began).Seconds(), Devices: devices, from: now, critical: newHistogram()}
	r.Storms = append(r.Storms, s)
	return s
}

func (r *Report) calm(s *StormReport, now time.Time, attempts, refused int64, back int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.until, s.Attempts, s.Refused, s.Back = now, attempts, refused, back
	if back == s.Devices {
		took := now.Sub(s.from).Seconds()
		s.Seconds = &took
	}
}

// inStorm records a critical request that was due in a storm. The lock is held.
func (r *Report) inStorm(res *Result) {
	if res.Kind.Class != policy.Critical || res.Err != nil {
		return
	}
	for _, s := range r.Storms {
		if !res.Due.Before(s.from) && (s.until.IsZero() || res.Due.Before(s.until)) {
			record(s.critical, res.Latency)
		}
	}
}

func (s *StormReport) String() string {
	back := fmt.Sprintf("%d of %d came back", s.Back, s.Devices)
	if s.Seconds != nil {
		back = fmt.Sprintf("all %d back after %.1f s", s.Devices, *s.Seconds)
	}
	return fmt.Sprintf("storm at %.1f s: %s, %d attempts, %d refused; critical p99 %.1f ms", s.At, back, s.Attempts, s.Refused, s.CriticalP99)
}
