package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tidegate/tidegate/test/child"
	"github.com/tidegate/tidegate/test/overload/flood"
	"github.com/tidegate/tidegate/test/overload/judge"
)

// cost is what a server used at one rate.
type cost struct {
	cpu               time.Duration
	refused, admitted int
}

// refusals compares the CPU of a request that an agent refuses with that of a
// bare HTTP/3 handler which refuses everything. Each is the difference between
// two rates: what is admitted, the same at both, and what the server does
// beside cancel out.
func refusals(ctx context.Context, l *lab) ([]judge.Bar, error) {
	u, c, err := l.single(ctx, l.opt.slots, "", devices)
	if err != nil {
		return nil, err
	}
	defer c.client.Close()
	bare, addr, err := l.startHTTP3(ctx, roleBare, u)
	if err != nil {
		return nil, err
	}
	f, err := l.fleet(ctx, patient, []string{addr}, devices)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	servers := []struct {
		*child.Process
		client flood.Client
	}{{c.agent.Process, c.client}, {bare, f}}
	per := make([][]float64, len(servers))
	var worst judge.Conditions
	unsteady := ""
	for round := range l.times(7, 1) {
		for i := range servers {
			s := servers[(i+round)%len(servers)]
			low, conditions, err := l.cost(ctx, s.Process, s.client, 2)
			if err != nil {
				return nil, err
			}
			high, more, err := l.cost(ctx, s.Process, s.client, 8)
			if err != nil {
				return nil, err
			}
			worst = worst.Worse(conditions).Worse(more)
			micros := float64((high.cpu - low.cpu).Microseconds()) / float64(max(high.refused-low.refused, 1))
			per[(i+round)%len(servers)] = append(per[(i+round)%len(servers)], micros)
			if off := math.Abs(float64(high.admitted-low.admitted)) / float64(max(high.refused-low.refused, 1)); off > 0.03 {
				unsteady = fmt.Sprintf("what was admitted differs by %.0f%% of what was refused", 100*off)
			}
		}
	}
	ours, theirs := median(per[0]), median(per[1])
	l.say("refusal: %.1f µs of CPU %.1f, bare handler %.1f µs %.1f, %s", ours, per[0], theirs, per[1], worst)
	bar := judge.AtMost("CPU of a refused HTTP/3 request ÷ a bare handler's", ours/theirs, "×", 1.25)
	return judged([]judge.Bar{bar}, firstOf(worst.Unfit(), unsteady)), nil
}

func (l *lab) cost(ctx context.Context, p *child.Process, c flood.Client, times float64) (cost, judge.Conditions, error) {
	warm := l.overloadPlan(times, 1500*time.Millisecond)
	if _, _, err := l.flood(ctx, warm, c); err != nil {
		return cost{}, judge.Conditions{}, err
	}
	before, err := p.CPU()
	if err != nil {
		return cost{}, judge.Conditions{}, err
	}
	load, conditions, err := l.flood(ctx, l.overloadPlan(times, l.long(4*time.Second, 2*time.Second)), c)
	if err != nil {
		return cost{}, judge.Conditions{}, err
	}
	after, err := p.CPU()
	used := cost{cpu: after - before}
	for _, k := range byKind(load, 0) {
		used.refused += k.refused
		used.admitted += k.sent - k.refused
	}
	return used, conditions, err
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
