package main

import (
	"context"
	"time"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/test/overload/flood"
	"github.com/tidegate/tidegate/test/overload/judge"
)

const (
	floods   = 20  // times what the other tenant sends
	modestly = 0.3 // of the capacity
)

// fairness is two tenants that only send critical messages; one sends twenty
// times as many as the other.
func fairness(ctx context.Context, l *lab) ([]judge.Bar, error) {
	_, c, err := l.single(ctx, l.opt.slots, tenantQuota, devices/4, devices)
	if err != nil {
		return nil, err
	}
	defer c.client.Close()
	plan := &flood.Plan{
		Timeout: timeout, Seed: l.opt.seed + 6,
		Phases: []flood.Phase{{For: settle + l.long(20*time.Second, 4*time.Second), Rate: (1 + floods) * modestly * l.capacityOf(l.opt.slots)}},
		Kinds: []flood.Kind{
			{Name: "modest", Class: policy.Critical, Path: "/critical", Weight: 1, Group: 0},
			{Name: "flood", Class: policy.Critical, Path: "/critical", Weight: floods, Group: 1},
		},
	}
	load, conditions, err := l.flood(ctx, plan, c.client)
	if err != nil {
		return nil, err
	}
	tenants := byKind(load, settle)
	l.say("fairness: %.2f%% of %d, the flood %.2f%% of %d, %s", tenants[0].success(), tenants[0].sent, tenants[1].success(), tenants[1].sent, conditions)
	l.sayReasons(load, c.client, settle)
	bar := judge.AtLeast("one tenant floods 20×: the other's success", tenants[0].success(), "%", 99)
	return judged([]judge.Bar{bar}, firstOf(conditions.Unfit(), judge.TooFew(tenants[0].sent, 0.99))), nil
}
