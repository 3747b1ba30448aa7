//go:build linux

package lab

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tidegate/tidegate/test/overload/judge"
)

// drill is an experiment: what is broken, and what is said to hold meanwhile.
type drill struct {
	name, hypothesis string
	run              func(*exercise) error

	homes   []string              // regions that SDK devices know; nil: all
	prepare func(*exercise) error // before anything is measured; nil: nothing
	cleanUp func(*exercise) error // when all is judged; nil: nothing
}

func drillNames() (names []string) {
	for _, d := range allDrills() {
		names = append(names, d.name)
	}
	return names
}

func findDrill(name string) *drill {
	for _, d := range allDrills() {
		if d.name == name {
			return &d
		}
	}
	return nil
}

// exercise is a drill under way.
type exercise struct {
	*mesh
	ctx    context.Context
	drill  *drill
	began  time.Time
	took   time.Duration
	marks  []mark
	bars   []judge.Bar
	stalls *stalls
	fleet  *fleet

	absences   []absence
	departures []departure
}

// mark is a moment when something was broken or mended.
type mark struct {
	at   time.Time
	what string
}

// rehearse runs drills, one after the other on the same mesh.
func (m *mesh) rehearse(ctx context.Context, names []string) (status int, err error) {
	stalls := watchStalls()
	defer stalls.stop()
	var done []*exercise
	var all []judge.Bar
	for _, name := range names {
		x := &exercise{mesh: m, ctx: ctx, drill: findDrill(name), stalls: stalls}
		if err := x.conduct(); err != nil {
			return 1, fmt.Errorf("drill %s: %w", name, err)
		}
		done, all = append(done, x), append(all, x.bars...)
	}
	m.out.verdicts(done)
	return exitStatus(all), nil
}

func exitStatus(bars []judge.Bar) (status int) {
	for _, b := range bars {
		switch {
		case b.Refused != "" && status == 0:
			status = 3
		case b.Refused == "" && !b.Pass:
			status = 1
		}
	}
	return status
}

const steadyFor = 5 * time.Second

// conduct measures the steady state, breaks what the drill breaks, and judges.
// What goes wrong breaks a bar, unless it is the end of everything.
func (x *exercise) conduct() error {
	x.out.say("\n== %s: %s", x.drill.name, x.drill.hypothesis)
	began := time.Now()
	defer func() { x.took = time.Since(began) }()
	defer x.dismiss()
	before, err := x.steady()
	switch {
	case x.ended():
		return x.ctx.Err()
	case err != nil:
		x.bar(judge.Bar{Bar: "it can be judged"}.Refuse(err.Error()), began, time.Now())
		x.print()
		return x.mend()
	}
	err = x.drill.run(x)
	if err == nil {
		err = x.balance()
	}
	if err == nil {
		err = x.backToBase(before)
	}
	if err != nil {
		if x.ended() {
			return err
		}
		x.out.say("    %s", err)
		x.bar(judge.AtLeast("it came to its end", 0, "times", 1), began, time.Now())
	}
	x.print()
	return x.mend()
}

// ended says that no drill can go on.
func (x *exercise) ended() bool { return x.ctx.Err() != nil || !x.devices.proc.Running() }

// steady measures the mesh before anything is broken: an error says why nothing
// can be judged on it.
func (x *exercise) steady() (before map[*agent]footprint, err error) {
	if x.drill.prepare != nil {
		if err := x.drill.prepare(x); err != nil {
			return nil, err
		}
	}
	if err := x.awaitWhole(x.ctx); err != nil {
		return nil, err
	}
	if before, err = x.footprints(); err != nil {
		return nil, err
	}
	homes := x.drill.homes
	if homes == nil {
		homes = regionNames
	}
	if err := x.startFleet(homes); err != nil {
		return nil, err
	}
	x.began = time.Now()
	if err := x.pause(steadyFor); err != nil {
		return nil, err
	}
	seen := x.devices.between(x.began, time.Now().Add(-time.Second))
	if failed := x.failed(seen); len(seen) == 0 || failed > 0 {
		return nil, fmt.Errorf("%d of %d requests failed before anything was broken: nothing is judged on a sick mesh", failed, len(seen))
	}
	return before, nil
}

// dismiss ends the fleet where a drill did not come so far.
func (x *exercise) dismiss() {
	if x.fleet != nil {
		x.fleet.stop()
	}
}

// mend leaves all as it was for the next drill.
func (x *exercise) mend() error {
	for _, line := range []string{"heal", "reset"} {
		if err := x.wan.Do(line); err != nil {
			return err
		}
	}
	if x.drill.cleanUp == nil {
		return nil
	}
	return x.drill.cleanUp(x)
}

// pause waits while the devices send.
func (x *exercise) pause(d time.Duration) error {
	select {
	case <-x.ctx.Done():
		return x.ctx.Err()
	case <-x.devices.proc.Done():
		return fmt.Errorf("the devices ended: %s", x.devices.proc.Tail())
	case <-time.After(d):
		return nil
	}
}

// mark notes what is broken or mended now.
func (x *exercise) mark(what string) time.Time {
	now := time.Now()
	x.marks = append(x.marks, mark{now, what})
	x.out.say("%6.1fs  %s", now.Sub(x.began).Seconds(), what)
	x.out.event(map[string]any{"event": "mark", "drill": x.drill.name, "at_seconds": now.Sub(x.began).Seconds(), "what": what})
	return now
}

// change marks lines and does them.
func (x *exercise) change(lines ...string) (time.Time, error) {
	at := x.mark(strings.Join(lines, ", "))
	for _, line := range lines {
		if err := x.wan.Do(line); err != nil {
			return at, err
		}
	}
	return at, nil
}

// long is a duration of a full run, shorter with --short.
func (x *exercise) long(full, short time.Duration) time.Duration {
	if x.opt.short {
		return short
	}
	return full
}

// settle waits, after what was broken is mended at a moment, until every agent
// sees the whole mesh again, and a little longer, and judges how long it took.
func (x *exercise) settle(mended time.Time) error {
	const bound, after = 60 * time.Second, 3 * time.Second
	err := x.awaitWhole(x.ctx)
	x.bar(judge.AtMost("every agent sees the whole mesh again", time.Since(mended).Seconds(), "s", bound.Seconds()), mended, time.Now())
	if err != nil {
		return err
	}
	return x.pause(after)
}

// bar keeps a bar; it is not judged when the machine stood still meanwhile.
func (x *exercise) bar(b judge.Bar, from, until time.Time) {
	b.Bar = x.drill.name + ": " + b.Bar
	if longest := x.stalls.longest(from, until); !b.Pass && b.Refused == "" && longest > mostStalled {
		b = b.Refuse(fmt.Sprintf("the machine stood still for %s", longest.Round(time.Millisecond)))
	}
	x.bars = append(x.bars, b)
	x.out.event(b)
}

// success judges the share of messages that succeeded within a time.
func (x *exercise) success(name string, some []message, within time.Duration, least float64, from, until time.Time) {
	bad := tooLate(some, within)
	share := 100 * float64(len(some)-len(bad)) / float64(max(len(some), 1))
	b := judge.AtLeast(fmt.Sprintf("%s, of %d", name, len(some)), share, "%", least)
	if need := x.samples(least); len(some) < need {
		b = b.Refuse(fmt.Sprintf("fewer than %d", need))
	}
	x.bar(b, from, until)
	x.examples(b, bad)
}

// tooLate are the messages that did not succeed within a time.
func tooLate(some []message, within time.Duration) (bad []message) {
	for _, m := range some {
		if !m.ok() || m.Took > within {
			bad = append(bad, m)
		}
	}
	return bad
}

// samples that a claim about a share needs.
func (x *exercise) samples(least float64) int {
	switch {
	case x.opt.short || least == 100:
		return 1
	case least > 99:
		return 3000
	}
	return 1000
}

// examples shows some of the messages that broke a bar.
func (x *exercise) examples(b judge.Bar, bad []message) {
	if b.Pass || len(bad) == 0 {
		return
	}
	x.out.say("    %s: %d were not, among them", b.Bar, len(bad))
	for i, m := range bad {
		if i%max(len(bad)/5, 1) == 0 {
			x.out.say("      %+6.2fs %s", m.Due.Sub(x.marks[0].at).Seconds(), &m)
		}
	}
}

func (x *exercise) failed(some []message) (n int) {
	for _, m := range some {
		if !m.ok() {
			n++
		}
	}
	return n
}

// print shows what agents noticed, and the verdicts.
func (x *exercise) print() {
	if len(x.marks) > 0 {
		for _, e := range x.events(x.marks[0].at, time.Now()) {
			x.out.say("    %+6.2fs %s", e.at.Sub(x.marks[0].at).Seconds(), e)
		}
	}
	t := tabwriter.NewWriter(x.out.talk, 0, 0, 2, ' ', 0)
	for _, b := range x.bars {
		fmt.Fprintf(t, "%s\t%.2f %s\t%s\t%s\n", b.Bar, b.Value, b.Unit, b.Bound, verdict(b))
	}
	_ = t.Flush()
}

func verdict(b judge.Bar) string {
	switch {
	case b.Refused != "":
		return "NOT JUDGED: " + b.Refused
	case b.Pass:
		return "holds"
	}
	return "BROKEN"
}

// pick returns the messages of a time that have a sign.
func (x *exercise) pick(from, until time.Time, sign func(*message) bool) []message {
	return slices.DeleteFunc(x.devices.between(from, until), func(m message) bool { return !sign(&m) })
}

// at is the sign of the edges of some regions.
func at(regions ...string) func(*message) bool {
	return func(m *message) bool { return slices.Contains(regions, m.Edge) }
}

// needsEU2 is the sign of what goes to eu-2 while all is well, but for its own
// edges.
func needsEU2(m *message) bool {
	return m.Edge == "eu-1" && (m.Kind == "stock" || m.Kind == "stock-urgent")
}

func criticalAt(regions ...string) func(*message) bool {
	return func(m *message) bool { return m.critical() && at(regions...)(m) }
}
