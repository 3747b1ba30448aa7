package drill

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The place of a chart's plot in its drawing, in units of the drawing.
const (
	chartWidth  = 1000.0
	chartHeight = 190.0
	plotLeft    = 58.0
	plotRight   = chartWidth - 14
	plotTop     = 8.0
	plotBottom  = chartHeight - 22
)

// chart is one plot over the time of a drill.
type chart struct {
	Title, Note string
	Legend      []key
	Paths       []path
	YTicks      []tick
	Hovers      []hover
}

// key is what a colour stands for.
type key struct{ Name, Color string }

// path is a line, or with Filled an area.
type path struct {
	D, Color string
	Filled   bool
}

type tick struct {
	At    float64
	Label string
}

// hover is a slot's column, with what it says when it is pointed at.
type hover struct {
	X, Width float64
	Text     string
}

// curve is one quantity, slot by slot; NaN where it is not known.
type curve struct {
	name, color string
	values      []float64
}

// axis maps values to heights.
type axis struct {
	low, high float64
	log       bool
	ticks     []float64
	label     func(float64) string
}

func (a *axis) y(v float64) float64 {
	low, high := a.low, a.high
	if a.log {
		v, low, high = math.Log10(max(v, low)), math.Log10(low), math.Log10(high)
	}
	share := min(max((v-low)/(high-low), 0), 1)
	return plotBottom - share*(plotBottom-plotTop)
}

func (a *axis) draw() (all []tick) {
	for _, v := range a.ticks {
		all = append(all, tick{a.y(v), a.label(v)})
	}
	return all
}

// x is the place of a time, in slots since the beginning of the drawing.
func (t *timeline) x(slots float64) float64 {
	return plotLeft + slots/float64(len(t.slots))*(plotRight-plotLeft)
}

// middle is the place of a slot's value.
func (t *timeline) middle(n int) float64 { return t.x(float64(n) + 0.5) }

// lines draws each curve, broken where nothing is known. A value between two unknown
// ones is a short dash.
func (t *timeline) lines(curves []curve, a *axis) (all []path) {
	for _, c := range curves {
		var d strings.Builder
		for n, v := range c.values {
			switch {
			case math.IsNaN(v):
			case !known(c.values, n-1) && !known(c.values, n+1):
				fmt.Fprintf(&d, "M%s %sH%s", num(t.x(float64(n))), num(a.y(v)), num(t.x(float64(n)+1)))
			case !known(c.values, n-1):
				fmt.Fprintf(&d, "M%s %s", num(t.middle(n)), num(a.y(v)))
			default:
				fmt.Fprintf(&d, "L%s %s", num(t.middle(n)), num(a.y(v)))
			}
		}
		all = append(all, path{D: d.String(), Color: c.color})
	}
	return all
}

func known(values []float64, n int) bool {
	return n >= 0 && n < len(values) && !math.IsNaN(values[n])
}

// stacks draws the curves on top of each other, the first one lowest: each down to the
// ground, the highest first, so that the lower ones cover it.
func (t *timeline) stacks(curves []curve, a *axis) (all []path) {
	top := make([]float64, len(t.slots))
	for _, c := range curves {
		var d strings.Builder
		fmt.Fprintf(&d, "M%s %s", num(plotLeft), num(plotBottom))
		for n := range top {
			if known(c.values, n) {
				top[n] += c.values[n]
			}
			fmt.Fprintf(&d, "V%sH%s", num(a.y(top[n])), num(t.x(float64(n)+1)))
		}
		fmt.Fprintf(&d, "V%sZ", num(plotBottom))
		all = append(all, path{D: d.String(), Color: c.color, Filled: true})
	}
	slices.Reverse(all)
	return all
}

func num(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }
