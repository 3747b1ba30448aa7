//go:build linux

package lab

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/test/overload/judge"
)

// footprint is what an agent holds once its garbage is collected.
type footprint struct {
	goroutines float64
	heap       float64 // MiB
}

// What an agent may hold more when a drill is over than before it: a fifth of it
// and a little, for pools and tables that grew with what was asked of them. A leak
// of each request or each reconnection is far beyond it.
const (
	mostGrowth         = 1.2
	goroutineAllowance = 25
	heapAllowance      = 2 // MiB
)

func (f footprint) most() footprint {
	return footprint{math.Ceil(f.goroutines*mostGrowth + goroutineAllowance), math.Ceil(f.heap*mostGrowth + heapAllowance)}
}

func (a *agent) footprint(ctx context.Context) (f footprint, err error) {
	heap, err := a.read(ctx, admin.PathProfiles+"heap?gc=1&debug=1")
	if err != nil {
		return f, err
	}
	routines, err := a.read(ctx, admin.PathProfiles+"goroutine?debug=1")
	if err != nil {
		return f, err
	}
	if f.heap, err = numberAfter(heap, "\n# HeapAlloc = "); err != nil {
		return f, fmt.Errorf("heap of agent %s: %w", a.name, err)
	}
	f.heap /= 1 << 20
	if f.goroutines, err = numberAfter(routines, "goroutine profile: total "); err != nil {
		return f, fmt.Errorf("goroutines of agent %s: %w", a.name, err)
	}
	return f, nil
}

func numberAfter(text []byte, label string) (float64, error) {
	_, rest, found := bytes.Cut(text, []byte(label))
	if !found {
		return 0, fmt.Errorf("there is no %q", label)
	}
	digits, _, _ := bytes.Cut(rest, []byte("\n"))
	return strconv.ParseFloat(string(digits), 64)
}

func (x *exercise) footprints() (all map[*agent]footprint, err error) {
	all = map[*agent]footprint{}
	for _, a := range x.agents() {
		if all[a], err = a.footprint(x.ctx); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// backToBase judges that every agent holds what it held before, once what was
// opened meanwhile had time to close.
func (x *exercise) backToBase(before map[*agent]footprint) error {
	const within = 60 * time.Second
	mended := time.Now()
	for {
		now, err := x.footprints()
		if err != nil {
			return err
		}
		goroutines := x.farthest(before, now, func(f footprint) float64 { return f.goroutines })
		heap := x.farthest(before, now, func(f footprint) float64 { return f.heap })
		if goroutines.fits() && heap.fits() || time.Since(mended) > within {
			x.bar(goroutines.bar("goroutines", ""), mended, time.Now())
			x.bar(heap.bar("heap", "MiB"), mended, time.Now())
			return nil
		}
		if err := x.pause(2 * time.Second); err != nil {
			return err
		}
	}
}

// growth is what one agent holds of something.
type growth struct {
	agent             *agent
	before, now, most float64
}

// farthest is the agent that is nearest to what it may hold, or farthest beyond.
func (x *exercise) farthest(before, now map[*agent]footprint, of func(footprint) float64) (worst growth) {
	for _, a := range x.agents() {
		g := growth{a, of(before[a]), of(now[a]), of(before[a].most())}
		if worst.agent == nil || g.now/g.most > worst.now/worst.most {
			worst = g
		}
	}
	return worst
}

func (g growth) fits() bool { return g.now <= g.most }

func (g growth) bar(what, unit string) judge.Bar {
	return judge.AtMost(fmt.Sprintf("%s back to base, most at %s (before: %.1f)", what, g.agent.name, g.before), g.now, unit, g.most)
}
