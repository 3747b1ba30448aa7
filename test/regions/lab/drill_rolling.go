//go:build linux

package lab

import "time"

func (x *exercise) rollingRestart() error {
	from := time.Now()
	who := x.agents()
	if x.opt.short {
		who = x.region("eu-2").agents
	}
	if err := x.roll(who, func(*agent) {}); err != nil {
		return err
	}
	if err := x.settle(time.Now()); err != nil {
		return err
	}
	if err := x.pause(5 * time.Second); err != nil {
		return err
	}
	x.rolled(from, time.Now().Add(-5*time.Second))
	return nil
}
