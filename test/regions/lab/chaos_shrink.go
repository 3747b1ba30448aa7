//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tidegate/tidegate/test/chaos/schedule"
	"github.com/tidegate/tidegate/test/overload/judge"
)

var errTimeIsOver = errors.New("the time for shrinking is over")

// shorten finds the shortest part of a schedule that breaks what all of it breaks,
// each time on a new mesh, and writes it to a file beside the first.
func (o *chaosOptions) shorten(ctx context.Context, s schedule.Schedule, out *output) (int, error) {
	began := time.Now()
	broken, err := o.broken(ctx, s, out)
	if err != nil {
		return 1, err
	}
	if len(broken) == 0 {
		out.say("\nnothing is broken this time")
		return 0, nil
	}
	less, err := schedule.Shrink(s.Events, func(some []schedule.Event) (bool, error) {
		if time.Since(began) > o.within {
			return false, errTimeIsOver
		}
		part := s.Only(some)
		out.say("\n== with %d of %d events", len(some), len(s.Events))
		now, err := o.broken(ctx, part, out)
		return slices.ContainsFunc(now, func(bar string) bool { return slices.Contains(broken, bar) }), err
	})
	if err != nil && !errors.Is(err, errTimeIsOver) {
		return 1, err
	}
	shortest := s.Only(less)
	file := o.shrink + ".shortest"
	out.say("\n%d of %d events suffice to break %s, in %s:\n%s", len(less), len(s.Events), strings.Join(broken, ", "), file, &shortest)
	return 1, os.WriteFile(file, []byte(shortest.String()), 0o644)
}

// broken names what a schedule breaks, without the numbers that differ each time.
// A mesh that does not become whole again is among it.
func (o *chaosOptions) broken(ctx context.Context, s schedule.Schedule, out *output) (names []string, err error) {
	c := &chaos{schedule: s, log: new(schedule.Log), out: out}
	err = c.run(ctx, o.options)
	for _, b := range c.all {
		if !b.Pass && b.Refused == "" {
			names = append(names, kindOfBar(b))
		}
	}
	if len(names) > 0 && ctx.Err() == nil {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("run a part of the schedule: %w", err)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// kindOfBar is what a bar asks, of whatever episode and however many samples.
func kindOfBar(b judge.Bar) string {
	_, what, found := strings.Cut(b.Bar, ": ")
	if !found {
		what = b.Bar
	}
	what, _, _ = strings.Cut(what, ", of ")
	what, _, _ = strings.Cut(what, " by ")
	return what
}
