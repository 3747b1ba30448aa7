//go:build linux

package lab

import (
	"time"

	"github.com/tidegate/tidegate/test/overload/judge"
)

func (x *exercise) partition() error {
	const watched = 5
	before, err := x.busiest(watched)
	if err != nil {
		return err
	}
	lost, err := x.change("cut us-1 eu-1", "cut us-1 eu-2")
	if err != nil {
		return err
	}
	if err := x.pause(x.long(30*time.Second, 8*time.Second)); err != nil {
		return err
	}
	mended, err := x.change("heal us-1 eu-1", "heal us-1 eu-2")
	if err != nil {
		return err
	}
	after, err := x.busiest(3 * watched)
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
	x.success("all at every edge succeeded within 1 s", x.pick(lost, until, at(regionNames...)), time.Second, 99, lost, until)
	x.success("critical succeeded", x.pick(lost, until, criticalAt(regionNames...)), 5*time.Second, 99.9, lost, until)
	x.success("all succeeded from the mending on", x.pick(mended, until, at(regionNames...)), 5*time.Second, 99.9, mended, until)
	x.detected("us-1", x.agentsOf("eu-1", "eu-2"), lost, mended)
	x.detected("eu-1", x.agentsOf("us-1"), lost, mended)
	x.detected("eu-2", x.agentsOf("us-1"), lost, mended)
	x.bar(judge.AtMost("packets over the mended border in its busiest second, against before", after/before, "times", 3), mended, until)
	x.steadyPlans(x.agents())
	return nil
}

// busiest is the most packets that crossed the border of us-1 to other regions in
// one of some seconds.
func (x *exercise) busiest(seconds int) (most float64, err error) {
	for last := x.crossed(); seconds > 0; seconds-- {
		if err := x.pause(time.Second); err != nil {
			return 0, err
		}
		now := x.crossed()
		most = max(most, float64(now-last))
		last = now
	}
	return most, nil
}

// crossed counts the packets for which there was a way over the border of us-1.
func (x *exercise) crossed() (n uint64) {
	for _, d := range x.wan.Directions() {
		if d.From != field && d.To != field && (d.From == "us-1" || d.To == "us-1") {
			n += d.Counters.Offered - d.Counters.Cut
		}
	}
	return n
}
