package drill

import (
	"math"
	"time"
)

// Steady is what the mesh must do between the warm-up and the time line: a mesh that
// is sick before anything is broken gives no verdict.
type Steady struct {
	For    time.Duration
	Bounds []Invariant
}

const (
	defaultSteady  = 3 * time.Second
	minSteady      = 2 * time.Second
	maxSteady      = time.Minute
	defaultSuccess = 99.0 // %
	steadySamples  = 10   // that the default span has room for, as far as maxSteady goes
)

// patience is how long an answer may take before a request counts as failed while
// the drill still goes on.
const patience = time.Second

func (c checker) steadyOf(b *steadyBlock) error {
	if b == nil {
		b = &steadyBlock{}
	}
	c.Steady.For = c.usualSteady()
	if b.For != "" {
		var err error
		if c.Steady.For, err = parseDuration(b.For, minSteady, maxSteady); err != nil {
			return c.invalid(where(b.Body, b.Place, "for"), "for %v", err)
		}
	}
	success := defaultSuccess
	if b.Success != nil {
		success = *b.Success
	}
	if !(success >= 0 && success <= 100) {
		return c.invalid(where(b.Body, b.Place, "success"), "success %g: use 0 to 100, in %%", success)
	}
	c.Steady.Bounds = []Invariant{{Name: "success", Metric: "success", AtLeast: true, Bound: success}}
	if b.P99 == nil {
		return nil
	}
	if !(*b.P99 > 0) {
		return c.invalid(where(b.Body, b.Place, "p99"), "p99 %g: use more than 0, in ms", *b.P99)
	}
	c.Steady.Bounds = append(c.Steady.Bounds, Invariant{Name: "p99", Metric: "p99", Bound: *b.P99})
	return nil
}

// usualSteady is long enough for some requests.
func (c checker) usualSteady() time.Duration {
	if !(c.Load.Rate > 0) {
		return defaultSteady
	}
	seconds := math.Ceil(steadySamples / c.Load.Rate)
	return time.Duration(min(max(seconds, defaultSteady.Seconds()), maxSteady.Seconds())) * time.Second
}

// judge measures the steady state, on what is known when the time line begins.
func (s *Steady) judge(rec *record) (verdicts []Verdict, holds bool) {
	live, holds := rec.live(-s.For, 0), true
	for n := range s.Bounds {
		v := s.Bounds[n].during(live, -s.For, 0)
		verdicts = append(verdicts, v)
		holds = holds && v.Pass
	}
	return verdicts, holds
}
