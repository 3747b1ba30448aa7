package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/tidegate/tidegate/test/overload/flood"
	"github.com/tidegate/tidegate/test/overload/judge"
)

// factors of overload, and what must still be had at each: success of critical
// requests and goodput of the peak, in percent.
var factors = []struct{ times, success, goodput float64 }{{2, 99.9, 95}, {5, 99.9, 90}, {10, 99.5, 80}}

// overloadPlan is a steady load. Critical requests are 20% of it, but never
// more than 20% of twice the capacity: 20% of five or ten times as much would
// be all or twice what the service can do, and nothing could let it through.
func (l *lab) overloadPlan(times float64, lasts time.Duration) *flood.Plan {
	capacity := l.capacityOf(l.opt.slots)
	share := min(criticalShare, 2*criticalShare/times)
	return &flood.Plan{
		Phases: []flood.Phase{{For: lasts, Rate: times * capacity}},
		Kinds:  mixed(share), Timeout: timeout, Seed: l.opt.seed + uint64(times*10),
	}
}

// overloads compares agents with their peers; the load of a peer is the same,
// for less long.
func overloads(ctx context.Context, l *lab) ([]judge.Bar, error) {
	u, err := l.startUpstream(ctx, l.opt.slots)
	if err != nil {
		return nil, err
	}
	all, err := l.contenders(ctx, u)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, c := range all {
			c.client.Close()
		}
	}()
	peak, err := l.peak(ctx, u)
	if err != nil {
		return nil, err
	}
	var bars []judge.Bar
	var rows []row
	for i, f := range factors {
		for _, c := range all {
			m, err := l.fitOverload(ctx, u, c, f.times)
			if err != nil {
				return nil, err
			}
			m.peak = peak
			if c.agent != nil {
				bars = append(bars, m.bars(i)...)
			}
			rows = append(rows, row{c.name, f.times, m})
		}
	}
	compare(rows)
	return bars, nil
}

// peak is what the service serves when asked directly for more than it can.
func (l *lab) peak(ctx context.Context, u *upstream) (float64, error) {
	plan := l.overloadPlan(1.2, l.long(5*time.Second, 2*time.Second))
	direct := flood.NewPlain(u.addr, nil)
	defer direct.Close()
	if err := u.Reset(); err != nil {
		return 0, err
	}
	load, conditions, err := l.flood(ctx, plan, direct)
	if err != nil {
		return 0, err
	}
	peak := goodput(load, time.Second, plan.Phases[0].For)
	l.say("peak of the service alone: %.0f requests/s (%s)", peak, conditions)
	return peak, nil
}

// measurement is one steady overload of one contender.
type measurement struct {
	load       *flood.Load
	conditions judge.Conditions
	stats      struct{ slot, expired float64 } // seconds
	goodput    float64
	peak       float64
	kinds      []tally
	critical   []time.Duration // latencies of successes
}

// fitOverload measures a peer once, agents until it can be judged.
func (l *lab) fitOverload(ctx context.Context, u *upstream, c contender, times float64) (m *measurement, err error) {
	for range l.tries() {
		if err := l.quiet(ctx); err != nil {
			return nil, err
		}
		m, err = l.overload(ctx, u, c, times)
		if err != nil || c.agent == nil || m.conditions.Unfit() == "" {
			break
		}
	}
	return m, err
}

func (l *lab) overload(ctx context.Context, u *upstream, c contender, times float64) (*measurement, error) {
	lasts := l.long(15*time.Second, 5*time.Second)
	if c.agent != nil {
		lasts = settle + l.long(65*time.Second, 4*time.Second)
	}
	if err := u.Reset(); err != nil {
		return nil, err
	}
	profiled := l.profile(ctx, c, times)
	m := &measurement{}
	plan := l.overloadPlan(times, lasts)
	var err error
	if m.load, m.conditions, err = l.flood(ctx, plan, c.client); err != nil {
		return nil, err
	}
	if err := <-profiled; err != nil {
		return nil, err
	}
	stats, err := u.Stats()
	if err != nil {
		return nil, err
	}
	m.stats.slot, m.stats.expired = stats.SlotTime.Seconds(), stats.ExpiredTime.Seconds()
	m.kinds = byKind(m.load, settle)
	m.goodput = goodput(m.load, settle, lasts)
	for i := range m.load.Results {
		if r := &m.load.Results[i]; r.Kind == critical && r.OK() && r.Due >= settle {
			m.critical = append(m.critical, r.Took)
		}
	}
	l.say("%-12s %2g×: critical %.3f%% of %d, goodput %.0f/s, %s", c.name, times, m.kinds[critical].success(), m.kinds[critical].sent, m.goodput, m.conditions)
	l.sayReasons(m.load, c.client, settle)
	return m, nil
}

func (l *lab) profile(ctx context.Context, c contender, times float64) <-chan error {
	done := make(chan error, 1)
	if c.agent == nil || l.opt.profiles == "" {
		done <- nil
		return done
	}
	go func() {
		file := filepath.Join(l.opt.profiles, fmt.Sprintf("overload-%g.pprof", times))
		done <- c.agent.profile(ctx, file, int(l.long(10*time.Second, 3*time.Second).Seconds()))
	}()
	return done
}

func (m *measurement) bars(i int) []judge.Bar {
	f := factors[i]
	name := fmt.Sprintf("%g×", f.times)
	unfit := m.conditions.Unfit()
	success := judge.AtLeast(name+" critical success", m.kinds[critical].success(), "%", f.success)
	if few := judge.TooFew(m.kinds[critical].sent, needed(f.success)); few != "" {
		success = success.Refuse(few)
	}
	bars := []judge.Bar{success, judge.AtLeast(name+" goodput ÷ peak", 100*m.goodput/m.peak, "%", f.goodput)}
	if f.times == 2 {
		end := m.load.Plan.Phases[0].For
		swing := judge.AtMost("2× swing of the rejection share", judge.Swing(windows(m.load, settle, end)), "points", 3)
		inverted := judge.AtMost("2× critical refused while lower classes are let in", float64(inversions(m.load)), "", 0)
		bars = append(bars, swing, inverted)
	}
	if f.times == 10 {
		expired := 100 * m.stats.expired / m.stats.slot
		bars = append(bars, judge.AtMost("10× upstream work on expired requests", expired, "%", 1))
	}
	return judged(bars, unfit)
}

// needed is the quantile that a claim about successes makes: at 99.9% there
// are to be 20,000 requests, at 99.5% 4,000.
func needed(success float64) float64 { return 1 - (1-success/100)/2 }

// inversions counts critical requests that were refused for capacity although
// a request of a lower class was sent, and let in, between the moments they
// were sent and refused: at the same threshold, as far as one can see from
// outside.
func inversions(load *flood.Load) int {
	type span struct{ from, to time.Duration }
	var refused []span
	var admitted []time.Duration
	for i := range load.Results {
		r := &load.Results[i]
		switch {
		case r.Kind == critical && r.Refused() && r.Due >= settle:
			refused = append(refused, span{r.Due + r.Late, r.Done()})
		case r.Kind != critical && r.OK():
			admitted = append(admitted, r.Due+r.Late)
		}
	}
	slices.Sort(admitted)
	count := 0
	for _, s := range refused {
		at, _ := slices.BinarySearch(admitted, s.from)
		if at < len(admitted) && admitted[at] <= s.to {
			count++
		}
	}
	return count
}

type row struct {
	name  string
	times float64
	*measurement
}

// compare prints success by class and goodput of all contenders.
func compare(rows []row) {
	t := tabwriter.NewWriter(os.Stderr, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "load\t\tcritical\thigh\tnormal\tbulk\tgoodput\tcritical p50\tp99\texpired work\tmachine\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%g×\t%s\t", r.times, r.name)
		for _, k := range r.kinds {
			fmt.Fprintf(t, "%.2f%%\t", k.success())
		}
		fmt.Fprintf(t, "%.1f%%\t%.1f ms\t%.1f ms\t%.1f%%\t%.0f%% busy\t\n", 100*r.goodput/r.peak,
			ms(judge.Quantile(r.critical, 0.5)), ms(judge.Quantile(r.critical, 0.99)), 100*r.stats.expired/max(r.stats.slot, 1e-9), 100*r.conditions.Busy)
	}
	_ = t.Flush()
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
