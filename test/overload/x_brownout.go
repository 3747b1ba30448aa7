package main

import (
	"context"
	"time"

	"github.com/tidegate/tidegate/test/overload/flood"
	"github.com/tidegate/tidegate/test/overload/judge"
)

// brownout halves the capacity for a minute while clients try again what was
// refused, up to twice, when the answer says they may.
func brownout(ctx context.Context, l *lab) ([]judge.Bar, error) {
	u, c, err := l.single(ctx, l.opt.slots, "", devices)
	if err != nil {
		return nil, err
	}
	defer c.client.Close()
	lead, lasts, tail := l.long(10*time.Second, 3*time.Second), l.long(time.Minute, 4*time.Second), l.long(20*time.Second, 5*time.Second)
	rate := 0.9 * l.capacityOf(l.opt.slots)
	plan := &flood.Plan{Kinds: mixed(criticalShare), Timeout: timeout, Seed: l.opt.seed + 5, Even: true,
		Retry: flood.Retry{Attempts: 3, Wait: 100 * time.Millisecond}, Phases: []flood.Phase{{For: lead + lasts + tail, Rate: rate}}}
	changes := make(chan error, 1)
	began := time.Now()
	changing, stop := context.WithCancel(ctx)
	defer stop()
	go func() { changes <- brown(changing, u, began, lead, lasts) }()
	load, conditions, err := l.flood(ctx, plan, c.client)
	stop()
	if err := firstError(err, <-changes); err != nil {
		return nil, err
	}
	stats, err := u.Stats()
	if err != nil {
		return nil, err
	}
	back := lead + lasts
	recovered, never := recovery(load, back, back+tail, rate)
	during := windows(load, lead, back)
	all := byKind(load, 0)
	l.say("brownout: %d attempts for %d requests upstream, success by class %.2f%% %.2f%% %.2f%% %.2f%%, finally refused in the last second %.0f%%, back after %s, %s",
		stats.Worked, stats.Distinct, all[0].success(), all[1].success(), all[2].success(), all[3].success(), 100*during[len(during)-1].Share(), recovered, conditions)
	l.sayReasons(load, c.client, settle)
	bar := judge.AtMost("capacity −50% for 60 s, retrying clients: back to 99% goodput", recovered.Seconds(), "s", 5)
	if never {
		bar.Pass = false
	}
	amplified := judge.AtMost("the same: attempts ÷ requests at the service", float64(stats.Worked)/float64(max(stats.Distinct, 1)), "×", 1.1)
	return judged([]judge.Bar{bar, amplified}, conditions.Unfit()), nil
}

func brown(ctx context.Context, u *upstream, began time.Time, lead, lasts time.Duration) error {
	for _, step := range []struct {
		at    time.Duration
		slots int
	}{{lead, u.slots / 2}, {lead + lasts, u.slots}} {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(began.Add(step.at))):
		}
		if err := u.SetSlots(step.slots); err != nil {
			return err
		}
	}
	return nil
}

// recovery is when the successes that ended in each second from then on were
// at least 99% of the requests that are due in a second.
func recovery(load *flood.Load, from, to time.Duration, rate float64) (time.Duration, bool) {
	const step = 250 * time.Millisecond
	ended := make([]int, int((to-from)/step))
	for i := range load.Results {
		if r := &load.Results[i]; r.OK() && r.Done() >= from && r.Done() < from+time.Duration(len(ended))*step {
			ended[(r.Done()-from)/step]++
		}
	}
	const second = int(time.Second / step)
	var good []bool
	for i := 0; i+second <= len(ended); i++ {
		sum := 0
		for _, n := range ended[i : i+second] {
			sum += n
		}
		good = append(good, float64(sum) >= 0.99*rate)
	}
	return judge.Recovered(good, step)
}
