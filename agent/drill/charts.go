package drill

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// charts are the plots of a run, in the order in which they are looked at.
func (t *timeline) charts() []chart {
	return []chart{t.rateChart(), t.successChart(), t.p99Chart(), t.servedChart(), t.thresholdChart()}
}

func (t *timeline) rateChart() chart {
	curves := []curve{
		t.curve("succeeded", "ok", func(s *slot) (float64, bool) { return s.succeeded, true }),
		t.curve("refused for now", "shed", func(s *slot) (float64, bool) { return s.shed, true }),
		t.curve("failed", "failed", func(s *slot) (float64, bool) { return s.failed, true }),
	}
	highest := 0.0
	for n := range t.slots {
		s := &t.slots[n]
		highest = max(highest, s.succeeded+s.shed+s.failed)
	}
	a := upTo(highest)
	return t.chart("Rate", "requests a second, by what became of them", curves, t.stacks(curves, a), a, perSecond)
}

func perSecond(v float64) string { return fmt.Sprintf("%.4g/s", v) }

func (t *timeline) successChart() chart {
	curves := t.byClass(func(s *slot) map[string]float64 { return s.success })
	lowest, _ := extremes(curves)
	a := percentAxis(lowest)
	note := "of requests by class"
	if a.low > 0 {
		note += fmt.Sprintf("; the axis begins at %g%%", a.low)
	}
	return t.chart("Success", note, curves, t.lines(curves, a), a, percentText)
}

func percentText(v float64) string { return fmt.Sprintf("%.2f%%", v) }

func (t *timeline) p99Chart() chart {
	curves := t.byClass(func(s *slot) map[string]float64 { return s.p99 })
	a := msAxis(extremes(curves))
	return t.chart("p99", "latency of answers by class; logarithmic", curves, t.lines(curves, a), a, msText)
}

func msText(v float64) string { return fmt.Sprintf("%.4g ms", v) }

func (t *timeline) servedChart() chart {
	curves := t.byRegion(func(s *slot) map[string]float64 { return s.served })
	a := percentAxis(0)
	return t.chart("Where traffic went", "share of the successes that each region served", curves, t.stacks(curves, a), a, percentText)
}

func (t *timeline) thresholdChart() chart {
	curves := t.byRegion(func(s *slot) map[string]float64 { return s.threshold })
	a := rankAxis()
	return t.chart("Threshold θ", "what ranks below it is refused; each region's highest", curves, t.lines(curves, a), a, rankText)
}

func rankText(v float64) string {
	if v == 0 {
		return "all pass"
	}
	return policy.Rank(v).String()
}

// chart puts together what is drawn. A chart without curves has no paths.
func (t *timeline) chart(title, note string, curves []curve, paths []path, a *axis, text func(float64) string) chart {
	c := chart{Title: title, Note: note, Paths: paths, YTicks: a.draw()}
	for _, one := range curves {
		c.Legend = append(c.Legend, key{one.name, one.color})
	}
	for n := range t.slots {
		at := t.from + t.width*time.Duration(n)
		lines := []string{at.String()}
		for _, one := range curves {
			if known(one.values, n) {
				lines = append(lines, one.name+": "+text(one.values[n]))
			}
		}
		c.Hovers = append(c.Hovers, hover{t.x(float64(n)), t.x(1) - t.x(0), strings.Join(lines, "\n")})
	}
	return c
}

func (t *timeline) curve(name, color string, value func(*slot) (float64, bool)) curve {
	c := curve{name: name, color: color}
	for n := range t.slots {
		v, there := value(&t.slots[n])
		if !there {
			v = math.NaN()
		}
		c.values = append(c.values, v)
	}
	return c
}

// byClass makes a curve of each class, the most important first; its colour is that
// of the class.
func (t *timeline) byClass(of func(*slot) map[string]float64) (all []curve) {
	for _, class := range classOrder(t.names(of)) {
		all = append(all, t.curve(class, class, valueOf(of, class)))
	}
	return all
}

// byRegion makes a curve of each region; colours go by the order of names.
func (t *timeline) byRegion(of func(*slot) map[string]float64) (all []curve) {
	for _, region := range slices.Sorted(maps.Keys(t.names(of))) {
		all = append(all, t.curve(region, t.colorOf(region), valueOf(of, region)))
	}
	return all
}

func valueOf(of func(*slot) map[string]float64, name string) func(*slot) (float64, bool) {
	return func(s *slot) (float64, bool) { v, there := of(s)[name]; return v, there }
}

// names are all that any slot knows something of.
func (t *timeline) names(of func(*slot) map[string]float64) map[string]bool {
	all := map[string]bool{}
	for n := range t.slots {
		for name := range of(&t.slots[n]) {
			all[name] = true
		}
	}
	return all
}

const regionColors = 9

// colorOf is the same for a region in every chart.
func (t *timeline) colorOf(region string) string {
	all := t.names(func(s *slot) map[string]float64 { return s.served })
	maps.Copy(all, t.names(func(s *slot) map[string]float64 { return s.threshold }))
	return fmt.Sprintf("r%d", slices.Index(slices.Sorted(maps.Keys(all)), region)%regionColors)
}

// extremes are the lowest and highest of all values; of none, 100 and 100.
func extremes(curves []curve) (lowest, highest float64) {
	lowest, highest = math.Inf(1), math.Inf(-1)
	for _, c := range curves {
		for _, v := range c.values {
			if !math.IsNaN(v) {
				lowest, highest = min(lowest, v), max(highest, v)
			}
		}
	}
	if lowest > highest {
		return 100, 100
	}
	return lowest, highest
}
