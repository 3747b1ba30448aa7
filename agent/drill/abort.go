package drill

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Abort is a condition that bounds the harm a drill may do: its faults end at once
// when it breaks. It is measured over a window that slides along with the time line.
type Abort struct {
	Invariant
	Over time.Duration
}

// String is the condition in words.
func (a *Abort) String() string {
	return fmt.Sprintf("%s: %s %s %s over %s", a.Name, a.Metric, side(a.AtLeast), amount(a.Bound, metrics[a.Metric].unit), a.Over)
}

// Abortion is why and when a drill was given up.
type Abortion struct {
	Condition Verdict `json:"condition"`          // that broke
	Seconds   float64 `json:"seconds"`            // into the time line
	Unhealed  string  `json:"unhealed,omitempty"` // what could not be undone; faults end by themselves then
}

const (
	defaultOver  = 2 * time.Second
	minOver      = time.Second
	maxOver      = time.Minute
	abortSamples = 10 // that a condition needs by default: one failure is no disaster
	watchEvery   = 200 * time.Millisecond
)

func (c checker) addAbort(b *invBlock) error {
	m, err := c.metricOf(b)
	if err != nil {
		return err
	}
	if !m.live {
		return c.wrong(b, "metric", "metric %s is known at the end only: no condition to abort", b.Metric)
	}
	a := Abort{Over: defaultOver}
	if err := c.heeded(b, sliding(m)); err != nil {
		return err
	}
	if b.Over != "" {
		if a.Over, err = parseDuration(b.Over, minOver, maxOver); err != nil {
			return c.wrong(b, "over", "over %v", err)
		}
	}
	if a.Invariant, err = c.invariantOf(b); err != nil {
		return err
	}
	if a.samples == 0 && slices.Contains(m.takes, "samples") {
		a.samples = abortSamples
	}
	c.Aborts = append(c.Aborts, a)
	return nil
}

// watch looks at the conditions until one breaks or ctx ends, and says which.
func (r *run) watch(ctx context.Context) *Abortion {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for len(r.Aborts) > 0 {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := time.Since(r.record.began)
		for n := range r.Aborts {
			if a := &r.Aborts[n]; now >= a.Over && now < r.Duration {
				if v := a.during(r.record.live(now-a.Over, now), now-a.Over, now); v.proves() && !v.Pass {
					return &Abortion{Condition: v, Seconds: now.Seconds()}
				}
			}
		}
	}
	return nil
}

// proves says that there was enough to judge by.
func (v *Verdict) proves() bool { return v.Note == "" }

// giveUp ends every fault of the drill at once, although ctx has ended.
func (r *run) giveUp(ctx context.Context, why *Abortion) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), letGo)
	defer cancel()
	fmt.Fprintf(r.out, "  %5.1f s  ABORTED: %s: %s\n", why.Seconds, why.Condition.Name, why.Condition.measured())
	r.aborted = why
	if err := r.mesh.heal(ctx); err != nil {
		why.Unhealed = err.Error()
		return
	}
	fmt.Fprintf(r.out, "           every fault of the drill is ended\n")
}
