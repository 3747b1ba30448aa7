package drill

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// selection says which series of agents are looked at, and what of them.
type selection struct {
	name   string
	labels map[string]string // that they have, among others
	take   string
}

// What can be taken of a series in a window.
const (
	takeIncrease = "increase" // how much it rose, all series together
	takeMax      = "max"      // the highest value of any
	takeMin      = "min"      // the lowest
	takeLast     = "last"     // the last value; of several series the one nearest to the bound, or furthest beyond it
)

var takes = []string{takeIncrease, takeMax, takeMin, takeLast}

var seriesName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)

func (c checker) selection(i *Invariant, b *invBlock) error {
	switch {
	case b.Metric != "prometheus":
		return nil
	case !seriesName.MatchString(b.Series):
		return c.wrong(b, "series", "series %q: name a series of the agents' metrics", b.Series)
	case !slices.Contains(takes, b.Take):
		return c.wrong(b, "take", "take %q: use one of %s", b.Take, strings.Join(takes, ", "))
	}
	i.series = selection{b.Series, b.Labels, b.Take}
	return nil
}

func (s *selection) includes(of *series) bool {
	for name, value := range s.labels {
		if of.labels[name] != value {
			return false
		}
	}
	return true
}

// ofSeries measures what the agents that are asked say of themselves, to the second.
func (r *record) ofSeries(i *Invariant) (value float64, samples int, note string) {
	from, until := r.window(&i.scope)
	var all []float64
	r.agents.each(i.series.name, i.scope.edge, func(s *series) {
		if !i.series.includes(s) {
			return
		}
		switch values := s.values(from, until); {
		case i.series.take == takeIncrease:
			value += s.increase(from, until)
		case len(values) > 0 && i.series.take == takeLast:
			all = append(all, values[len(values)-1])
		default:
			all = append(all, values...)
		}
	})
	switch {
	case r.agents.overflows():
		return 0, 0, "the agents have more series than are kept"
	case i.series.take == takeIncrease: // a counter that was never moved may not be there
		return value, r.agents.answers(i.scope.edge, from, until), ""
	case len(all) == 0:
		return 0, 0, "no agent that was asked has such a series"
	case i.series.take == takeMin, i.series.take == takeLast && i.AtLeast:
		return slices.Min(all), len(all), ""
	}
	return slices.Max(all), len(all), ""
}

// window is that of a scope in the time of clocks.
func (r *record) window(s *scope) (from, until time.Time) {
	return r.began.Add(s.from), r.began.Add(s.until)
}
