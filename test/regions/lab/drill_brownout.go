//go:build linux

package lab

import "time"

// How services answer in the brown-out: so soon, so many at a time. Slow ones have
// room for less than what is asked of stock in eu-2.
const (
	ordinary, tenfold = 20 * time.Millisecond, 200 * time.Millisecond
	servedAtOnce      = 8
)

// learned is how long agents may take to find out what services have room for: they
// hear of it by how long answers take (docs/decisions/admission-limit.md, "A start
// under overload").
const learned = 10 * time.Second

func (x *exercise) ordinaryPace() error { return x.setPaces(ordinary, servedAtOnce) }

func (x *exercise) noPace() error { return x.setPaces(0, 0) }

func (x *exercise) setPaces(delay time.Duration, atOnce int) error {
	for _, r := range x.regions {
		if err := r.setPace(x.ctx, delay, atOnce); err != nil {
			return err
		}
	}
	return nil
}

func (x *exercise) brownOut() error {
	slow := x.region("eu-2")
	from := x.mark("services of eu-2 take 200 ms, not 20")
	if err := slow.setPace(x.ctx, tenfold, servedAtOnce); err != nil {
		return err
	}
	if err := x.pause(x.long(40*time.Second, 15*time.Second)); err != nil {
		return err
	}
	mended := x.mark("services of eu-2 take 20 ms again")
	if err := slow.setPace(x.ctx, ordinary, servedAtOnce); err != nil {
		return err
	}
	if err := x.settle(mended); err != nil {
		return err
	}
	if err := x.pause(x.long(15*time.Second, 5*time.Second)); err != nil {
		return err
	}
	until := time.Now().Add(-5 * time.Second)
	x.keptAll(from, until)
	x.success("critical succeeded", x.pick(from, until, criticalAt(regionNames...)), 5*time.Second, 99.9, from, until)
	x.success("all at every edge succeeded within 1 s, from 10 s after", x.pick(from.Add(learned), until, at(regionNames...)), time.Second, 99, from, until)
	early := x.pick(from, from.Add(learned), at(regionNames...))
	x.out.say("    in the first 10 s %d of %d took longer than 1 s, or failed", len(tooLate(early, time.Second)), len(early))
	x.steadyPlans(x.agents())
	return nil
}
