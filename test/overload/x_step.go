package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tidegate/tidegate/test/overload/flood"
	"github.com/tidegate/tidegate/test/overload/judge"
)

const (
	baseLoad  = 0.7
	stepLoad  = 1.4
	stepLasts = 1500 * time.Millisecond
	stepBin   = 100 * time.Millisecond
)

// steps takes the load from 70% to 140% of capacity and back, many times.
func steps(ctx context.Context, l *lab) ([]judge.Bar, error) {
	_, c, err := l.single(ctx, l.opt.slots, "", devices)
	if err != nil {
		return nil, err
	}
	defer c.client.Close()
	load, conditions, err := l.flood(ctx, l.stepPlan(), c.client)
	if err != nil {
		return nil, err
	}
	base, bins := stepLatencies(load)
	normal := judge.Quantile(base, 0.99)
	good := make([]bool, len(bins))
	fewest, worst := len(base), time.Duration(0)
	var shape string
	for i, bin := range bins {
		p99 := judge.Quantile(bin, 0.99)
		good[i], worst = p99 <= 2*normal, max(worst, p99)
		fewest = min(fewest, len(bin))
		shape += fmt.Sprintf(" %.0f", ms(p99))
	}
	back, never := judge.Recovered(good, stepBin)
	l.say("step: base p99 %.1f ms (%d), p99 by 100 ms after the step:%s; critical %.3f%%, %s",
		ms(normal), len(base), shape, byKind(load, settle)[critical].success(), conditions)
	l.sayReasons(load, c.client, settle)
	bar := judge.AtMost("step to 1.4×: critical p99 back within 2× of base", ms(back), "ms", 500)
	if never {
		bar.Pass = false
	}
	return judged([]judge.Bar{bar}, firstOf(conditions.Unfit(), judge.TooFew(fewest, 0.99), judge.TooFew(len(base), 0.99))), nil
}

// stepPlan has the steps at no fixed distance, so that they fall anywhere
// between the agent's own ticks.
func (l *lab) stepPlan() *flood.Plan {
	rng := rand.New(rand.NewPCG(l.opt.seed, 2))
	capacity := l.capacityOf(l.opt.slots)
	p := &flood.Plan{Kinds: mixed(criticalShare), Timeout: timeout, Seed: l.opt.seed + 3,
		Phases: []flood.Phase{{For: settle, Rate: stepLoad * capacity}}} // the agent learns the capacity
	for range l.times(50, 3) {
		jitter := time.Duration(rng.Int64N(int64(200 * time.Millisecond)))
		p.Phases = append(p.Phases, flood.Phase{For: stepLasts + jitter, Rate: baseLoad * capacity},
			flood.Phase{For: stepLasts, Rate: stepLoad * capacity})
	}
	return p
}

// stepLatencies pools the latencies of critical requests: of the second half of
// each stretch of base load, and by the time that passed since the step. A
// request that did not succeed counts as one that took for ever.
func stepLatencies(load *flood.Load) (base []time.Duration, bins [][]time.Duration) {
	starts := make([]time.Duration, len(load.Plan.Phases)+1)
	for i, p := range load.Plan.Phases {
		starts[i+1] = starts[i] + p.For
	}
	bins = make([][]time.Duration, stepLasts/stepBin)
	for i := range load.Results {
		r := &load.Results[i]
		if r.Kind != critical || r.Phase == 0 {
			continue
		}
		took := r.Took
		if !r.OK() {
			took = time.Hour
		}
		since := r.Due - starts[r.Phase]
		switch {
		case r.Phase%2 == 0:
			bins[since/stepBin] = append(bins[since/stepBin], took)
		case since > stepLasts/2:
			base = append(base, took)
		}
	}
	return base, bins
}

func firstOf(reasons ...string) string {
	for _, why := range reasons {
		if why != "" {
			return why
		}
	}
	return ""
}
