package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/test/overload/flood"
	"github.com/tidegate/tidegate/test/overload/judge"
)

// reading is an agent's admission at a moment of the load.
type reading struct {
	at time.Duration
	admin.Admission
}

// watch reads an agent's admission every 50 ms until ctx ends.
func watch(ctx context.Context, a *agent, began time.Time) <-chan []reading {
	out := make(chan []reading, 1)
	go func() {
		var all []reading
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		defer func() { out <- all }()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if state, err := a.admission(); err == nil {
				all = append(all, reading{time.Since(began), state})
			}
		}
	}()
	return out
}

const halvedLasts = 5 * time.Second

// halved takes half of the slots away, several times, and looks how long the
// agent's limit takes to follow.
func halved(ctx context.Context, l *lab) ([]judge.Bar, error) {
	before, after := 2*l.opt.slots, l.opt.slots
	best, refused, err := l.bestLimit(ctx, after)
	if err != nil {
		return nil, err
	}
	u, c, err := l.single(ctx, before, "", devices)
	if err != nil {
		return nil, err
	}
	defer c.client.Close()
	rounds := l.times(6, 1)
	plan := &flood.Plan{Kinds: mixed(criticalShare), Timeout: timeout, Seed: l.opt.seed + 4,
		Phases: []flood.Phase{{For: settle + time.Duration(2*rounds)*halvedLasts, Rate: 1.2 * l.capacityOf(before)}}}
	began := time.Now()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	readings := watch(watching, c.agent, began)
	changes := make(chan error, 1)
	go func() { changes <- halve(watching, u, began, rounds, before, after) }()
	_, conditions, err := l.flood(ctx, plan, c.client)
	stop()
	if err := firstError(err, <-changes); err != nil {
		return nil, err
	}
	all := <-readings
	worst := time.Duration(0)
	for i := range rounds {
		from := settle + time.Duration(2*i+1)*halvedLasts
		took := within(all, from, from+halvedLasts, float64(best))
		l.say("halved %d: limit/baseline/latency by 250 ms:%s; within 20%% of %d after %s", i+1, limits(all, from-time.Second, from+halvedLasts), best, took)
		worst = max(worst, took)
	}
	l.say("halved: %s", conditions)
	bar := judge.AtMost("capacity halved: limit within ±20% of the new best (worst)", worst.Seconds(), "s", 2)
	return judged([]judge.Bar{bar}, firstOf(refused, conditions.Unfit())), nil
}

// bestLimit measures the fixed limit at which a service of so many slots has the most
// power: answers a second over the time of each (Kleinrock, 1979), which by Little's
// law is the square of answers a second over the limit, for the limit is always taken
// up. That is more than its slots: an answer takes longer than its slot is held, and
// while it travels the slot would be idle.
func (l *lab) bestLimit(ctx context.Context, slots int) (limit int, refused string, err error) {
	lasts := settle + l.long(5*time.Second, time.Second)
	var done []float64
	for n := slots; n <= 2*slots; n += max(slots/8, 1) {
		fixed := fmt.Sprintf("limit {\n in_flight = %d\n adaptive = false\n }\n", n)
		_, c, err := l.single(ctx, slots, fixed, devices)
		if err != nil {
			return 0, "", err
		}
		plan := &flood.Plan{Kinds: mixed(criticalShare), Timeout: timeout, Seed: l.opt.seed + 5,
			Phases: []flood.Phase{{For: lasts, Rate: 2.4 * l.capacityOf(slots)}}}
		load, conditions, err := l.flood(ctx, plan, c.client)
		c.client.Close()
		c.agent.Kill()
		if err != nil {
			return 0, "", err
		}
		refused = firstOf(refused, conditions.Unfit())
		done = append(done, goodput(load, settle, lasts))
	}
	best, most := slots, 0.0
	for i, rate := range done {
		n := slots + i*max(slots/8, 1)
		if power := rate * rate / float64(n); power > most {
			best, most = n, power
		}
	}
	l.say("best limit of %d slots: %d; answers a second with %d and more: %.0f", slots, best, slots, done)
	return best, refused, nil
}

func halve(ctx context.Context, u *upstream, began time.Time, rounds, before, after int) error {
	for i := range rounds {
		for half, n := range []int{after, before} {
			at := settle + time.Duration(2*i+1+half)*halvedLasts
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Until(began.Add(at))):
			}
			if err := u.SetSlots(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// smoothed limits are means over three of the agent's own windows.
const smoothed = 300 * time.Millisecond

// within is how long the smoothed limit took to come within 20% of the best
// and stay there for half a second.
func within(all []reading, from, to time.Duration, best float64) time.Duration {
	var since time.Duration
	inside := false
	for at := from; at <= to; at += 50 * time.Millisecond {
		limit, ok := meanLimit(all, at-smoothed, at)
		good := ok && math.Abs(limit-best) <= 0.2*best
		switch {
		case good && !inside:
			inside, since = true, at
		case !good:
			inside = false
		}
		if inside && at-since >= 500*time.Millisecond {
			return since - from
		}
	}
	return to - from
}

func meanLimit(all []reading, from, to time.Duration) (mean float64, ok bool) {
	n := 0
	for _, r := range all {
		if r.at > from && r.at <= to {
			mean += float64(r.Limit)
			n++
		}
	}
	return mean / float64(max(n, 1)), n > 0
}

func limits(all []reading, from, to time.Duration) (line string) {
	for at := from; at < to; at += 250 * time.Millisecond {
		limit, _ := meanLimit(all, at, at+250*time.Millisecond)
		line += fmt.Sprintf(" %.1f%s", limit, latencies(all, at))
	}
	return line
}

func latencies(all []reading, at time.Duration) string {
	for _, r := range all {
		if r.at >= at {
			return fmt.Sprintf("/%.1f/%.1f", 1000*r.BaselineSeconds, 1000*r.LatencySeconds)
		}
	}
	return ""
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
