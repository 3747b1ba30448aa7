//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"
)

// alarms is a run in which regions live, badly, and now and then one is cut off.
type alarms struct {
	*exercise
	rng       *rand.Rand
	witnesses []*witness
	from      time.Time
	until     time.Time
	cuts      []cut

	mu     sync.Mutex // guards pulses
	pulses []pulse
}

// cut is a true one, of one region from all others.
type cut struct {
	region      string
	from, until time.Time
}

// pulse is a time in which an agent and its witness did not run.
type pulse struct {
	agent       *agent
	from, until time.Time
}

// A tenth of the agents is starved at a time: each for some seconds, in which it is
// paused again and again, for longer than it runs.
const (
	starvedShare              = 0.1
	starveLeast, starveMost   = 5 * time.Second, 15 * time.Second
	pausedLeast, pausedMost   = 50 * time.Millisecond, 600 * time.Millisecond
	runningLeast, runningMost = 50 * time.Millisecond, 400 * time.Millisecond
)

// A cut comes after some time, and lasts some seconds; the last one is long enough
// for memberlist's LAN profile, and sometimes for the other.
const (
	calmLeast, calmMost = 20 * time.Second, 35 * time.Second
	cutLeast, cutMost   = 6 * time.Second, 10 * time.Second
	lastCut             = 45 * time.Second
	comingBack          = 15 * time.Second
)

// falseAlarms is the mode of that name.
func (o *chaosOptions) alarms(ctx context.Context, out *output) (status int, err error) {
	err = withMesh(ctx, o.options, out, func(m *mesh) error {
		a := &alarms{exercise: &exercise{mesh: m, ctx: ctx, drill: &drill{name: "false alarms"}, stalls: watchStalls()}, rng: rand.New(rand.NewPCG(o.seed, 1))}
		defer a.stalls.stop()
		if err := a.run(o.lasts); err != nil {
			return err
		}
		status = a.judge()
		return nil
	})
	return status, err
}

func (a *alarms) run(lasts time.Duration) (err error) {
	a.witnesses, err = a.startWitnesses()
	defer func() {
		for _, w := range a.witnesses {
			w.stop()
		}
	}()
	if err != nil {
		return err
	}
	if err := a.awaitWitnesses(); err != nil {
		return err
	}
	a.began = time.Now()
	if _, err := a.change("set * * loss=5%"); err != nil {
		return err
	}
	a.from = time.Now()
	ctx, cancel := context.WithCancel(a.ctx)
	var starving sync.WaitGroup
	for n := range a.starved() {
		rng := rand.New(rand.NewPCG(a.rng.Uint64(), uint64(n)))
		starving.Go(func() { a.starve(ctx, rng) })
	}
	err = a.cutNowAndThen(a.from.Add(lasts))
	cancel()
	starving.Wait()
	a.until = time.Now()
	return err
}

func (a *alarms) starved() int { return max(int(starvedShare*float64(len(a.agents()))+0.5), 1) }

func (a *alarms) awaitWitnesses() error {
	return await(a.ctx, time.Minute, func() error {
		for _, w := range a.witnesses {
			for _, p := range profiles {
				if !w.knows(p.name, len(a.witnesses)-1) {
					return fmt.Errorf("the witness of %s does not know all others in %s", w.agent.name, p.name)
				}
			}
		}
		return nil
	})
}

// starve pauses agents, one for some seconds after another, until the end.
func (a *alarms) starve(ctx context.Context, rng *rand.Rand) {
	for ctx.Err() == nil {
		who := a.agents()[rng.IntN(len(a.agents()))]
		for ends := time.Now().Add(between(rng, starveLeast, starveMost)); time.Now().Before(ends) && ctx.Err() == nil; {
			a.pulse(ctx, who, between(rng, pausedLeast, pausedMost))
			wait(ctx, between(rng, runningLeast, runningMost))
		}
	}
}

func (a *alarms) pulse(ctx context.Context, who *agent, d time.Duration) {
	from := time.Now()
	a.signal(who, syscall.SIGSTOP)
	wait(ctx, d)
	a.signal(who, syscall.SIGCONT)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pulses = append(a.pulses, pulse{who, from, time.Now()})
}

func (a *alarms) signal(who *agent, signal syscall.Signal) {
	_ = who.proc.Cmd.Process.Signal(signal) // if it ended, the run says so in other ways
	for _, w := range a.witnesses {
		if w.agent == who {
			_ = w.proc.Cmd.Process.Signal(signal)
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)+1))
}

// cutNowAndThen cuts one region off after another.
func (a *alarms) cutNowAndThen(ends time.Time) error {
	for {
		if err := a.pause(between(a.rng, calmLeast, calmMost)); err != nil {
			return a.overWithContext(err)
		}
		lasts := between(a.rng, cutLeast, cutMost)
		last := time.Until(ends) < calmMost+cutMost+lastCut+2*comingBack
		if last {
			lasts = lastCut
		}
		if err := a.cutOne(regionNames[a.rng.IntN(len(regionNames))], lasts); err != nil {
			return a.overWithContext(err)
		}
		if last {
			return nil
		}
	}
}

var errEnded = errors.New("ended before its time")

func (a *alarms) overWithContext(err error) error {
	if a.ctx.Err() != nil {
		return errEnded
	}
	return err
}

func (a *alarms) cutOne(region string, lasts time.Duration) error {
	from, err := a.change("isolate " + region)
	if err != nil {
		return err
	}
	c := cut{region: region, from: from}
	err = a.pause(lasts)
	if err != nil {
		return err
	}
	if c.until, err = a.change("heal"); err != nil {
		return err
	}
	a.cuts = append(a.cuts, c)
	return a.pause(comingBack)
}
