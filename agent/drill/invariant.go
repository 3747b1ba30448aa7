package drill

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tidegate/tidegate/agent/load"
	"github.com/tidegate/tidegate/policy"
)

// Invariant is one thing that must hold, and how it is measured.
type Invariant struct {
	Name    string
	Metric  string // a key of metrics
	Bound   float64
	AtLeast bool // the value must be at least Bound; else at most

	scope   scope
	within  time.Duration // success: answers later than this do not count; 0: any
	samples int           // fewer requests than this give no verdict but failure
	region  string        // whose part of the traffic is measured
	by      float64       // reversals: points that count as one
	series  selection     // prometheus: of which series
}

// scope says which requests count.
type scope struct {
	from, until time.Duration // window of due times, until excluded
	surviving   bool          // only at edges that no fault cuts off meanwhile
	edge        string        // only at edges of this region; empty: all
	kinds       []string      // empty: all
	class       string        // empty: all
	tenant      string        // empty: all
}

func (c checker) addInvariant(b *invBlock) error {
	m, err := c.metricOf(b)
	if err != nil {
		return err
	}
	if err := c.heeded(b, m); err != nil {
		return err
	}
	inv, err := c.invariantOf(b)
	if err != nil {
		return err
	}
	c.Invariants = append(c.Invariants, inv)
	return nil
}

// metricOf finds the metric, of those that a drill like this can measure.
func (c checker) metricOf(b *invBlock) (*metric, error) {
	m, known := metrics[b.Metric]
	switch {
	case !known:
		return nil, c.wrong(b, "metric", "metric %q: use one of %s", b.Metric, strings.Join(slices.Sorted(maps.Keys(metrics)), ", "))
	case c.Observe && m.observed == nil:
		return nil, c.wrong(b, "metric", "metric %s is measured by devices of the drill's own: an observed drill has none", b.Metric)
	case m.region && c.Load.Over != "" && c.Load.Over != load.OverHTTP3:
		return nil, c.wrong(b, "metric", "metric %s: an acknowledgement of MQTT does not tell the region that served", b.Metric)
	}
	return &m, nil
}

func (c checker) invariantOf(b *invBlock) (Invariant, error) {
	inv := Invariant{Name: b.Name, Metric: b.Metric, samples: b.Samples, region: b.Region, by: defaultReversal}
	for _, read := range []func(*Invariant, *invBlock) error{c.bound, c.window, c.narrow, c.rest, c.selection} {
		if err := read(&inv, b); err != nil {
			return inv, err
		}
	}
	return inv, nil
}

// wrong points at an attribute of an invariant.
func (c checker) wrong(b *invBlock, attribute, format string, args ...any) error {
	return c.invalid(where(b.Body, b.Place, attribute), format, args...)
}

// heeded refuses attributes that the metric would ignore.
func (c checker) heeded(b *invBlock, m *metric) error {
	attributes, _ := b.Body.JustAttributes() // an invariant has no blocks
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		bound := name == "at_least" && m.atLeast || name == "at_most" && m.atMost
		switch {
		case name == "metric" || bound:
		case !slices.Contains(m.takes, name):
			return c.wrong(b, name, "metric %s takes no %s", b.Metric, name)
		case c.Observe && slices.Contains(ofDevices, name):
			return c.wrong(b, name, "%s: agents do not count by it, and an observed drill has no devices of its own", name)
		}
	}
	return nil
}

func (c checker) bound(i *Invariant, b *invBlock) error {
	m := metrics[b.Metric]
	bound, name := b.AtMost, "at_most"
	switch {
	case m.atLeast && m.atMost && (b.AtLeast == nil) == (b.AtMost == nil):
		return c.wrong(b, "at_most", "metric %s needs one of at_least and at_most", b.Metric)
	case b.AtLeast != nil || !m.atMost:
		bound, name, i.AtLeast = b.AtLeast, "at_least", true
	}
	if bound == nil || *bound < 0 || m.unit == "%" && *bound > 100 {
		return c.wrong(b, name, "metric %s needs %s: a number from 0 on, in %s", b.Metric, name, m.unit)
	}
	i.Bound = *bound
	return nil
}

func (c checker) window(i *Invariant, b *invBlock) error {
	i.scope.until = c.Duration
	for _, end := range []struct {
		attribute, name string
		into            *time.Duration
	}{{"from", b.From, &i.scope.from}, {"until", b.Until, &i.scope.until}} {
		at, found := c.moment(end.name)
		switch {
		case found:
			*end.into = at
		case end.name != "":
			return c.wrong(b, end.attribute, "%s %q is neither a step nor the end of one, nor a time after it (STEP, STEP.end, STEP+1s)", end.attribute, end.name)
		}
	}
	i.scope.until = min(i.scope.until, c.Duration)
	if i.scope.from >= i.scope.until {
		return c.invalid(b.Place, "nothing lies between from (%s) and until (%s)", i.scope.from, i.scope.until)
	}
	return nil
}

// narrow reads which requests of the window count.
func (c checker) narrow(i *Invariant, b *invBlock) error {
	i.scope.kinds, i.scope.class, i.scope.tenant = b.Kinds, b.Class, b.Tenant
	i.scope.surviving, i.scope.edge = b.Edges == "surviving", b.Edge
	if b.Edges != "" && b.Edges != "all" && b.Edges != "surviving" {
		return c.wrong(b, "edges", "edges %q: use all or surviving, or edge for those of one region", b.Edges)
	}
	if b.Tenant != "" && !slices.Contains(c.Load.Tenants, b.Tenant) {
		return c.wrong(b, "tenant", "the devices have no tenant %q", b.Tenant)
	}
	for _, kind := range b.Kinds {
		if !c.hasKind(kind) {
			return c.wrong(b, "kinds", "the load has no kind %q", kind)
		}
	}
	if b.Class == "" {
		return nil
	}
	if _, err := policy.ParseClass(b.Class); err != nil {
		return c.wrong(b, "class", "%v", err)
	}
	return nil
}

// rest reads what single metrics need.
func (c checker) rest(i *Invariant, b *invBlock) (err error) {
	m := metrics[b.Metric]
	switch {
	case b.Samples < 0:
		return c.wrong(b, "samples", "samples %d: use 0 or more", b.Samples)
	case m.region && b.Region == "":
		return c.wrong(b, "metric", "metric %s needs region: whose part of the traffic it measures", b.Metric)
	case m.moment && b.From == "":
		return c.wrong(b, "metric", "metric %s needs from: the moment to count from", b.Metric)
	case m.before && c.firstStep() == 0:
		return c.wrong(b, "metric", "metric %s compares with the time before the first step: there is none", b.Metric)
	}
	if b.By != nil {
		if i.by = *b.By; !(i.by > 0 && i.by <= 100) {
			return c.wrong(b, "by", "by %g: use more than 0 and at most 100 points", i.by)
		}
	}
	if b.Within == "" {
		return nil
	}
	if i.within, err = parseDuration(b.Within, time.Millisecond, maxDuration); err != nil {
		return c.wrong(b, "within", "within %v", err)
	}
	return nil
}

// Verdict is an invariant's outcome.
type Verdict struct {
	Name    string  `json:"name"`
	Pass    bool    `json:"pass"`
	Value   float64 `json:"value"`
	Unit    string  `json:"unit"`
	Bound   float64 `json:"bound"`
	Samples int     `json:"samples"`
	Note    string  `json:"note,omitempty"`
	AtLeast bool    `json:"at_least"` // the value must be at least Bound; else at most
}

// judge measures an invariant on what was recorded.
func (i *Invariant) judge(rec *record) Verdict {
	m := metrics[i.Metric]
	v := Verdict{Name: i.Name, Unit: m.unit, Bound: i.Bound, AtLeast: i.AtLeast}
	measure := m.measure
	if rec.observing {
		measure = m.observed
	}
	v.Value, v.Samples, v.Note = measure(rec, i)
	v.Pass = v.Note == "" && (i.AtLeast && v.Value >= i.Bound || !i.AtLeast && v.Value <= i.Bound)
	if needed := max(i.samples, 1); v.Samples < needed {
		v.Pass = false
		v.Note = fmt.Sprintf("only %d samples, %d are needed", v.Samples, needed)
	}
	return v
}

// during is judge in a window of its own.
func (i *Invariant) during(rec *record, from, until time.Duration) Verdict {
	in := *i
	in.scope.from, in.scope.until = from, until
	return in.judge(rec)
}

// measured is the value beside its bound.
func (v *Verdict) measured() string {
	text := fmt.Sprintf("%s of %d samples, %s %s wanted", amount(v.Value, v.Unit), v.Samples, side(v.AtLeast), amount(v.Bound, v.Unit))
	if v.Note != "" {
		text += ": " + v.Note
	}
	return text
}

func amount(value float64, unit string) string {
	return strings.TrimSpace(plain(math.Round(value*1000)/1000) + " " + unit)
}

func side(atLeast bool) string {
	if atLeast {
		return "at least"
	}
	return "at most"
}
