package main

import (
	"context"
	"time"

	"github.com/tidegate/tidegate/test/overload/flood"
	"github.com/tidegate/tidegate/test/overload/judge"
)

const (
	regionLoad = 0.75
	lostRegion = 2 // index of the region that is killed
)

// loss is what was seen of one loss of a region.
type loss struct {
	base, after []time.Duration // latencies of critical successes at the survivors
	critical    tally           // there, after the loss
	shedding    time.Duration   // from the loss until both survivors shed bulk
	waited      time.Duration   // longest queue wait reported or seen until then
	shedBefore  int             // bulk refused in the second half of the base load
	conditions  judge.Conditions
}

// regionLost kills one of three regions at 75% load; its devices go to the
// other two when they notice.
func regionLost(ctx context.Context, l *lab) ([]judge.Bar, error) {
	var all loss
	for round := range l.times(3, 1) {
		one, err := l.loseRegion(ctx, uint64(round))
		l.stopAll()
		if err != nil {
			return nil, err
		}
		l.say("region lost %d: survivors shed bulk after %s, queue wait until then %.1f ms, critical %.3f%% of %d, p99.9 %.1f → %.1f ms, bulk refused before %d, %s",
			round+1, one.shedding.Round(time.Millisecond), ms(one.waited), one.critical.success(), one.critical.sent,
			ms(judge.Quantile(one.base, 0.999)), ms(judge.Quantile(one.after, 0.999)), one.shedBefore, one.conditions)
		all.base, all.after = append(all.base, one.base...), append(all.after, one.after...)
		all.critical.sent += one.critical.sent
		all.critical.ok += one.critical.ok
		all.shedding, all.waited = max(all.shedding, one.shedding), max(all.waited, one.waited)
		all.conditions = all.conditions.Worse(one.conditions)
	}
	unfit := all.conditions.Unfit()
	success := judge.AtLeast("1 of 3 regions lost at 75% load: critical success", all.critical.success(), "%", 99.9)
	tail := judge.AtMost("the same: critical p99.9 ÷ base", float64(judge.Quantile(all.after, 0.999))/float64(max(judge.Quantile(all.base, 0.999), 1)), "×", 3)
	return append(judged([]judge.Bar{success}, firstOf(unfit, judge.TooFew(all.critical.sent, needed(99.9)))),
		append(judged([]judge.Bar{tail}, firstOf(unfit, judge.TooFew(len(all.base), 0.999), judge.TooFew(len(all.after), 0.999))),
			judged([]judge.Bar{
				judge.AtMost("the same: survivors shed bulk after (worst)", all.shedding.Seconds(), "s", 1.2),
				judge.AtMost("the same: queue wait of survivors until then (worst)", ms(all.waited), "ms", 20),
			}, unfit)...)...), nil
}

func (l *lab) loseRegion(ctx context.Context, round uint64) (*loss, error) {
	var services []*upstream
	for range 3 {
		u, err := l.startUpstream(ctx, l.opt.slots)
		if err != nil {
			return nil, err
		}
		services = append(services, u)
	}
	agents, err := l.startAgents(ctx, "", services...)
	if err != nil {
		return nil, err
	}
	f, err := l.fleet(ctx, impatient, []string{agents[0].Edge, agents[1].Edge, agents[2].Edge}, devices)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	plan := l.regionPlan(round)
	lost := plan.Phases[0].For + plan.Phases[1].For
	began := time.Now()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	seen := []<-chan []reading{watch(watching, agents[0], began), watch(watching, agents[1], began)}
	killed := make(chan time.Duration, 1)
	go func() {
		select {
		case <-watching.Done():
		case <-time.After(time.Until(began.Add(lost))):
		}
		_ = agents[lostRegion].Cmd.Process.Kill()
		_ = services[lostRegion].Cmd.Process.Kill()
		killed <- time.Since(began)
	}()
	load, conditions, err := l.flood(ctx, plan, f)
	stop()
	if err != nil {
		return nil, err
	}
	one := lossOf(load, <-killed)
	l.sayReasons(load, f, lost)
	one.conditions = conditions
	for _, readings := range seen {
		one.waited = max(one.waited, longestWait(<-readings, lost, lost+one.shedding))
	}
	return one, nil
}

// regionPlan first drives every region over its capacity, so that the agents
// know it.
func (l *lab) regionPlan(round uint64) *flood.Plan {
	all := 3 * l.capacityOf(l.opt.slots)
	return &flood.Plan{Kinds: mixed(criticalShare), Timeout: timeout, Seed: l.opt.seed + 10 + round, Phases: []flood.Phase{
		{For: l.long(6*time.Second, 4*time.Second), Rate: 1.3 * all},
		{For: l.long(20*time.Second, 4*time.Second), Rate: regionLoad * all},
		{For: l.long(22*time.Second, 4*time.Second), Rate: regionLoad * all},
	}}
}

// lossOf sorts what happened at the survivors before and after the loss.
func lossOf(load *flood.Load, lost time.Duration) *loss {
	one := &loss{}
	base := load.Plan.Phases[0].For + load.Plan.Phases[1].For/4 // until the first phase is forgotten
	const never = time.Minute
	first := [lostRegion]time.Duration{never, never}
	for i := range load.Results {
		r := &load.Results[i]
		survivor := r.Edge != lostRegion
		switch {
		case !survivor:
		case r.Kind == critical && r.Due >= base && r.Done() < lost && r.OK():
			one.base = append(one.base, r.Took)
		case r.Kind == critical && r.Due >= lost:
			one.critical.add(r)
			if r.OK() {
				one.after = append(one.after, r.Took)
			}
		case r.Kind == bulk && r.Refused() && r.Done() >= lost:
			first[r.Edge] = min(first[r.Edge], r.Done()-lost)
		case r.Kind == bulk && r.Refused() && r.Due >= base:
			one.shedBefore++
		}
	}
	one.shedding = max(first[0], first[1])
	return one
}

func longestWait(all []reading, from, to time.Duration) (longest time.Duration) {
	for _, r := range all {
		if r.at >= from && r.at <= to {
			longest = max(longest, time.Duration(r.QueueWaitSeconds*float64(time.Second)))
		}
	}
	return longest
}
