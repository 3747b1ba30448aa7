package main

import (
	"context"
	"time"

	"github.com/tidegate/tidegate/test/overload/judge"
)

// single starts a service and one agent, with devices of some tenants.
func (l *lab) single(ctx context.Context, n int, serviceMore string, groups ...int) (*upstream, contender, error) {
	u, err := l.startUpstream(ctx, n)
	if err != nil {
		return nil, contender{}, err
	}
	agents, err := l.startAgents(ctx, serviceMore, u)
	if err != nil {
		return nil, contender{}, err
	}
	f, err := l.fleet(ctx, patient, []string{agents[0].Edge}, groups...)
	return u, contender{name: ourselves, client: f, agent: agents[0]}, err
}

// lognormal is a service whose times are widely dispersed, at twice its
// capacity.
func lognormal(ctx context.Context, l *lab) ([]judge.Bar, error) {
	u, c, err := l.single(ctx, l.opt.slots, "", devices)
	if err != nil {
		return nil, err
	}
	defer c.client.Close()
	if err := u.SetSigma(0.6); err != nil {
		return nil, err
	}
	peak, err := l.peak(ctx, u)
	if err != nil {
		return nil, err
	}
	if err := u.Reset(); err != nil {
		return nil, err
	}
	lasts := 2*settle + l.long(30*time.Second, 4*time.Second)
	load, conditions, err := l.flood(ctx, l.overloadPlan(2, lasts), c.client)
	if err != nil {
		return nil, err
	}
	l.say("lognormal: goodput %.0f of %.0f/s, critical %.2f%%, %s", goodput(load, 2*settle, lasts), peak, byKind(load, settle)[critical].success(), conditions)
	bar := judge.AtLeast("2× of a lognormal service: goodput ÷ peak", 100*goodput(load, 2*settle, lasts)/peak, "%", 90)
	return judged([]judge.Bar{bar}, conditions.Unfit()), nil
}
