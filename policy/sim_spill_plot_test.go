package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TIDEGATE_PLOTS=1 go test ./policy -run TestSimSpillPlots writes the plots again;
// without it they are only drawn, and have to be those that are there.
const plotsVariable = "TIDEGATE_PLOTS"

// plot is lines over time.
type plot struct {
	title  string
	unit   string
	top    float64
	length time.Duration
	lines  []*plotLine
}

type plotLine struct {
	name   string
	values []float64 // one each plotStep
}

const (
	plotStep            = 500 * time.Millisecond
	plotWide, plotHigh  = 640.0, 220.0
	plotLeft, plotAbove = 48.0, 36.0
)

var plotColors = []string{"#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#7f7f7f"}

// record samples the named values while the simulation goes on.
func (p *plot) record(s *simSpill, values map[string]func() float64, names ...string) {
	start := s.now
	for _, name := range names {
		p.lines = append(p.lines, &plotLine{name: name})
	}
	s.sample = func(s *simSpill) {
		if s.now.Sub(start)%plotStep != 0 {
			return
		}
		for _, line := range p.lines {
			if value := values[line.name]; value != nil {
				line.values = append(line.values, value())
			}
		}
	}
}

func (p *plot) x(at time.Duration) float64 {
	return plotLeft + plotWide*float64(at)/float64(p.length)
}

func (p *plot) y(value float64) float64 {
	return plotAbove + plotHigh*(1-min(1, max(0, value/p.top)))
}

func (p *plot) svg() string {
	var b strings.Builder
	high := plotAbove + plotHigh + 24
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="sans-serif" font-size="11">`+"\n", plotLeft+plotWide+130, high)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/><text x="%.0f" y="18" font-size="13">%s</text>`+"\n", plotLeft, p.title)
	for n := range 5 {
		value := p.top * float64(n) / 4
		fmt.Fprintf(&b, `<path d="M%.0f %.1fh%.0f" stroke="#ddd"/><text x="%.0f" y="%.1f" text-anchor="end">%.4g%s</text>`+"\n",
			plotLeft, p.y(value), plotWide, plotLeft-4, p.y(value)+4, value, p.unit)
	}
	for n := range 7 {
		at := p.length * time.Duration(n) / 6
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="middle">%.0f s</text>`+"\n", p.x(at), high-8, at.Seconds())
	}
	for n, line := range p.lines {
		p.draw(&b, n, line)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (p *plot) draw(b *strings.Builder, n int, line *plotLine) {
	color := plotColors[n%len(plotColors)]
	fmt.Fprintf(b, `<text x="%.0f" y="%.0f" fill="%s">%s</text>`, plotLeft+plotWide+6, plotAbove+12+16*float64(n), color, line.name)
	fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="1.5" points="`, color)
	for i, value := range line.values {
		fmt.Fprintf(b, "%.1f,%.1f ", p.x(time.Duration(i)*plotStep), p.y(value))
	}
	b.WriteString("\"/>\n")
}

func TestSimSpillPlots(t *testing.T) {
	for name, p := range map[string]*plot{
		"step": plotStepTo90(t), "lost": plotLost(t), "brown-out": plotBrownOut(t), "return": plotReturn(t),
	} {
		p.keep(t, "spill-"+name)
	}
}

// keep writes the plot, or holds it to the one that is there.
func (p *plot) keep(t *testing.T, name string) {
	t.Helper()
	file := filepath.Join("..", "docs", "plots", name+".svg")
	got := p.svg()
	if os.Getenv(plotsVariable) != "" {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOARCH == "amd64" && got != string(want) { // elsewhere sums may round otherwise
		t.Errorf("%s is another plot: write it again with %s=1", file, plotsVariable)
	}
}

func plotStepTo90(t *testing.T) *plot {
	p := &plot{title: "Home goes from 50 % to 90 % of its capacity after 5 s: share of its demand that spills", unit: " %", top: 16, length: 60 * time.Second}
	for _, age := range []time.Duration{time.Second, 3 * time.Second, 10 * time.Second} {
		s := stepTo90(t, 1)
		s.delay, s.noise = age, 0.022
		s.run(60 * time.Second)
		name := fmt.Sprintf("reports %v old", age)
		p.record(s, map[string]func() float64{name: func() float64 { return 100 * s.spilled("a") }}, name)
		s.run(5 * time.Second)
		s.region("a").demand = 900
		s.run(55 * time.Second)
	}
	return p
}

func plotLost(t *testing.T) *plot {
	p := &plot{title: "One of three regions at 75 % is lost after 5 s; its devices are back at the others 4 s later (req/s)", unit: "", top: 1600, length: 30 * time.Second}
	s := threeRegions(t)
	s.run(30 * time.Second)
	b := s.region("b")
	p.record(s, map[string]func() float64{
		"demand of b": func() float64 { return b.demand }, "load of b": func() float64 { return b.load },
		"expected at b": func() float64 { return expectedAt(b) },
	}, "demand of b", "load of b", "expected at b")
	s.run(5 * time.Second)
	s.kill("c")
	for range 10 {
		s.run(300 * time.Millisecond)
		s.region("a").demand += 37.5
		b.demand += 37.5
	}
	s.run(21 * time.Second)
	return p
}

func plotBrownOut(t *testing.T) *plot {
	p := &plot{title: "Home loses 5 % of its capacity each second from 5 to 20 s, and has it back at 50 s (req/s)", unit: "", top: 1000, length: 90 * time.Second}
	s := threeRegions(t)
	s.region("a").demand, s.region("b").demand, s.region("c").demand = 600, 400, 400
	s.run(30 * time.Second)
	a, b, c := s.region("a"), s.region("b"), s.region("c")
	p.record(s, map[string]func() float64{
		"capacity of home": func() float64 { return a.capacity }, "load of home": func() float64 { return a.load },
		"load of b (10 ms)": func() float64 { return b.load }, "load of c (80 ms)": func() float64 { return c.load },
	}, "capacity of home", "load of home", "load of b (10 ms)", "load of c (80 ms)")
	s.run(5 * time.Second)
	for range 60 {
		a.capacity -= 12.5
		s.run(simTick)
	}
	s.run(30 * time.Second)
	a.capacity = 1000
	s.run(40 * time.Second)
	return p
}

func plotReturn(t *testing.T) *plot {
	p := &plot{title: "A region whose neighbour takes its spill: the neighbour dies at 5 s and is back at 30 s", unit: " %", top: 24, length: 90 * time.Second}
	s := threeRegions(t)
	s.region("a").demand, s.region("b").demand, s.region("c").demand = 1000, 100, 100
	s.run(60 * time.Second)
	p.record(s, map[string]func() float64{
		"to b (10 ms)": func() float64 { return 100 * s.share("a", "b") }, "to c (80 ms)": func() float64 { return 100 * s.share("a", "c") },
	}, "to b (10 ms)", "to c (80 ms)")
	s.run(4 * time.Second)
	s.kill("b")
	s.run(22 * time.Second)
	s.revive("b")
	s.run(60 * time.Second)
	return p
}
