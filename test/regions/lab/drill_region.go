//go:build linux

package lab

import (
	"context"
	"time"
)

func (x *exercise) regionCut() error {
	lost, err := x.change("isolate eu-2")
	if err != nil {
		return err
	}
	if err := x.pause(x.long(30*time.Second, 8*time.Second)); err != nil {
		return err
	}
	mended, err := x.change("heal")
	if err != nil {
		return err
	}
	return x.afterLoss(lost, mended)
}

func (x *exercise) afterLoss(lost, mended time.Time) error {
	if err := x.settle(mended); err != nil {
		return err
	}
	if err := x.returned(mended); err != nil {
		return err
	}
	if err := x.pause(5 * time.Second); err != nil { // until all is answered, or timed out
		return err
	}
	x.elsewhere(lost, mended)
	x.fleetBack("eu-2", lost, mended, in("eu-2"))
	x.steadyPlans(x.agentsOf("eu-1", "us-1"))
	return nil
}

func (x *exercise) regionKilled() error {
	r := x.region("eu-2")
	lost := x.mark("SIGKILL to all in eu-2")
	if err := r.net.Kill(); err != nil {
		return err
	}
	if err := x.pause(x.long(30*time.Second, 8*time.Second)); err != nil {
		return err
	}
	mended := x.mark("all in eu-2 is started again")
	if err := r.startAll(x.ctx); err != nil {
		return err
	}
	return x.afterLoss(lost, mended)
}

// startAll starts what runs in the region, as a machine does that has power again.
func (r *region) startAll(ctx context.Context) error {
	if err := r.launchConsul(); err != nil {
		return err
	}
	if err := r.launchServices(); err != nil {
		return err
	}
	if err := r.startAgents(ctx); err != nil {
		return err
	}
	return await(ctx, time.Minute, func() error { return r.register(ctx) })
}

// fullReturn has the devices of a region wait for it: those of the SDK know no
// other region, the others never do.
func (x *exercise) fullReturn() error {
	r := x.region("eu-2")
	lost := x.mark("SIGKILL to all in eu-2")
	if err := r.net.Kill(); err != nil {
		return err
	}
	if err := x.pause(x.outage()); err != nil {
		return err
	}
	mended := x.mark("all in eu-2 is started again")
	if err := r.startAll(x.ctx); err != nil {
		return err
	}
	there := x.mark("its agents are there")
	if err := x.settle(mended); err != nil {
		return err
	}
	if err := x.returned(mended); err != nil {
		return err
	}
	// SDK devices pause for up to 30 s between attempts (device.Config).
	const backoff = 35 * time.Second
	if err := x.pause(time.Until(there.Add(backoff))); err != nil {
		return err
	}
	until := time.Now()
	if err := x.pause(5 * time.Second); err != nil {
		return err
	}
	alive := []string{"eu-1", "us-1"}
	x.back("eu-2", lost, there, until, backoff, in("eu-2"))
	x.success("all at living edges succeeded within 1 s, from the return on", x.pick(mended, until, at(alive...)), time.Second, 99, mended, until)
	x.success("critical at living edges succeeded", x.pick(lost, until, criticalAt(alive...)), 5*time.Second, 99.9, lost, until)
	own := x.pick(there.Add(5*time.Second), until, at("eu-2"))
	x.success("all at its own edges succeeded from 5 s after", own, 5*time.Second, 99, there, until)
	x.steadyPlans(x.agentsOf(alive...))
	return nil
}

// outage is how long a region is away for long.
func (x *exercise) outage() time.Duration {
	if x.opt.full {
		return 10 * time.Minute
	}
	return x.long(time.Minute, 10*time.Second)
}
