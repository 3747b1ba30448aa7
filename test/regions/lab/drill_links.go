//go:build linux

package lab

import (
	"time"
)

func (x *exercise) asymmetric() error {
	lost, err := x.change("cut eu-1->eu-2")
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
	if err := x.settle(mended); err != nil {
		return err
	}
	if err := x.returned(mended); err != nil {
		return err
	}
	if err := x.pause(5 * time.Second); err != nil {
		return err
	}
	until := mended.Add(-time.Second)
	x.success("what needed eu-2 succeeded within 1 s", x.pick(lost, until, needsEU2), time.Second, 99, lost, mended)
	x.success("all at every edge succeeded within 1 s", x.pick(lost, until, at(regionNames...)), time.Second, 99, lost, mended)
	x.success("critical succeeded", x.pick(lost, until, criticalAt(regionNames...)), 5*time.Second, 99.9, lost, mended)
	x.detected("eu-2", x.agentsOf("eu-1"), lost, mended)
	x.steadyPlans(x.agents())
	return nil
}

func (x *exercise) lossy() error {
	// 40 ms become 40 to 240.
	from, err := x.change("set eu-1 us-1 delay=140ms jitter=100ms loss=20%")
	if err != nil {
		return err
	}
	if err := x.pause(x.long(time.Minute, 15*time.Second)); err != nil {
		return err
	}
	mended, err := x.change("reset")
	if err != nil {
		return err
	}
	if err := x.settle(mended); err != nil {
		return err
	}
	if err := x.pause(5 * time.Second); err != nil {
		return err
	}
	until := time.Now().Add(-5 * time.Second)
	x.keptAll(from, until)
	x.success("all succeeded", x.pick(from, until, at(regionNames...)), 5*time.Second, 99.9, from, until)
	x.steadyPlans(x.agents())
	return nil
}
