//go:build linux

package lab

import (
	"slices"
	"time"

	"github.com/tidegate/tidegate/test/overload/judge"
)

// elsewhere judges what the loss of eu-2 from one moment to another did to the
// edges of the other regions.
func (x *exercise) elsewhere(lost, mended time.Time) {
	alive := []string{"eu-1", "us-1"}
	until := mended.Add(-time.Second) // what was sent later may yet be under way
	x.success("what needed eu-2 succeeded within 1 s", x.pick(lost, until, needsEU2), time.Second, 99, lost, mended)
	x.success("all at living edges succeeded within 1 s", x.pick(lost, until, at(alive...)), time.Second, 99, lost, mended)
	x.success("critical at living edges succeeded", x.pick(x.began, time.Now().Add(-6*time.Second), criticalAt(alive...)), 5*time.Second, 99.9, x.began, mended)
	x.detected("eu-2", x.agentsOf(alive...), lost, mended)
}

func (x *exercise) agentsOf(regions ...string) (some []*agent) {
	for _, name := range regions {
		some = append(some, x.region(name).agents...)
	}
	return some
}

// detected judges when the last of some agents left a region.
func (x *exercise) detected(region string, by []*agent, lost, mended time.Time) {
	first := map[*agent]time.Time{}
	for _, e := range x.events(lost, mended) {
		if _, seen := first[e.agent]; e.what == regionDown && e.about == region && !seen {
			first[e.agent] = e.at
		}
	}
	last := lost
	for _, a := range by {
		at, seen := first[a]
		if !seen {
			x.bar(judge.AtMost(a.name+" left "+region+" in time", mended.Sub(lost).Seconds(), "s", 1), lost, mended)
			return
		}
		if at.After(last) {
			last = at
		}
	}
	x.bar(judge.AtMost("every living agent left "+region, last.Sub(lost).Seconds(), "s", 1), lost, lost.Add(2*time.Second))
}

// steadyPlans judges that no agent changed its plan for a service more than once
// after each of some moments.
func (x *exercise) steadyPlans(by []*agent) {
	most, ends := 0, time.Now()
	for i := len(x.marks) - 1; i >= 0; i-- {
		count := map[string]int{}
		for _, e := range x.events(x.marks[i].at, ends) {
			if e.what == planChanged && slices.Contains(by, e.agent) {
				count[e.agent.name+" "+e.about]++
				most = max(most, count[e.agent.name+" "+e.about])
			}
		}
		ends = x.marks[i].at
	}
	x.bar(judge.AtMost("changes of a plan after one event", float64(most), "at an agent", 1), x.marks[0].at, time.Now())
}

// keptAll judges that no agent gave up a region.
func (x *exercise) keptAll(from, until time.Time) {
	downs := 0
	for _, e := range x.events(from, until) {
		if e.what == regionDown {
			downs++
		}
	}
	x.bar(judge.AtMost("regions given up", float64(downs), "times", 0), from, until)
}

// returned judges how long after the mending what needs eu-2 went there again.
func (x *exercise) returned(mended time.Time) error {
	const bound = 60 * time.Second
	for {
		now := time.Now()
		some := x.pick(now.Add(-2*time.Second), now, needsEU2)
		back := 0
		for _, m := range some {
			if m.ok() && m.Served == "eu-2" {
				back++
			}
		}
		if len(some) > 0 && back*100 >= len(some)*95 || now.Sub(mended) > bound {
			x.bar(judge.AtMost("what needs eu-2 is served there again", now.Sub(mended).Seconds(), "s", bound.Seconds()), mended, now)
			return nil
		}
		if err := x.pause(time.Second / 4); err != nil {
			return err
		}
	}
}
