package policy

import (
	"testing"
	"time"
)

// PlotStep is the time between the values of a plot.
const PlotStep = plotStep

// KeepPlot is for simulators outside of the package: it writes a plot of the
// lines, in the order of their names, or holds it to the one that is there.
func KeepPlot(t *testing.T, name, title string, top float64, names []string, lines map[string][]float64) {
	t.Helper()
	p := &plot{title: title, top: top}
	for _, line := range names {
		p.lines = append(p.lines, &plotLine{name: line, values: lines[line]})
		p.length = max(p.length, time.Duration(len(lines[line])-1)*plotStep)
	}
	p.keep(t, name)
}
