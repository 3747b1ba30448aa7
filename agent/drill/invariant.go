package drill

import (
	"fmt"
	"slices"
	"time"

	"github.com/tidegate/tidegate/agent/load"
	"github.com/tidegate/tidegate/policy"
)

// Invariant is one thing that must hold, and how it is measured.
type Invariant struct {
	Name    string
	Metric  string // success, p99, return, plan_changes
	Bound   float64
	AtLeast bool // the value must be at least Bound; else at most

	from, until  time.Duration // window of due times
	surviving    bool          // only at edges that no fault cuts off meanwhile
	kinds        []string      // empty: all
	class        string        // empty: all
	within       time.Duration // success: answers later than this do not count; 0: any
	samples      int           // fewer requests than this give no verdict but failure
	region       string        // return
	minimumShare float64
}

type invBlock struct {
	Name    string   `hcl:"name,label"`
	Metric  string   `hcl:"metric"`
	From    string   `hcl:"from,optional"`
	Until   string   `hcl:"until,optional"`
	Edges   string   `hcl:"edges,optional"`
	Kinds   []string `hcl:"kinds,optional"`
	Class   string   `hcl:"class,optional"`
	Within  string   `hcl:"within,optional"`
	Samples int      `hcl:"samples,optional"`
	Region  string   `hcl:"region,optional"`
	AtLeast *float64 `hcl:"at_least,optional"`
	AtMost  *float64 `hcl:"at_most,optional"`
}

// units of the metrics, and whether their bound is a lower one.
var metrics = map[string]struct {
	unit    string
	atLeast bool
}{
	"success":      {"%", true},
	"p99":          {"ms", false},
	"return":       {"s", false},
	"plan_changes": {"changes", false},
}

// returnShare of what a region served before the fault must be its own again
// for traffic to have returned.
const returnShare = 0.9

func (b invBlock) check(d *Drill) (Invariant, error) {
	inv := Invariant{Name: b.Name, Metric: b.Metric, kinds: b.Kinds, class: b.Class, samples: b.Samples, region: b.Region,
		until: d.Duration, minimumShare: returnShare}
	m, known := metrics[b.Metric]
	if !known {
		return inv, fmt.Errorf("%w: metric %q: use success, p99, return or plan_changes", ErrInvalid, b.Metric)
	}
	bound, other, name := b.AtMost, b.AtLeast, "at_most"
	if inv.AtLeast = m.atLeast; m.atLeast {
		bound, other, name = b.AtLeast, b.AtMost, "at_least"
	}
	if bound == nil || other != nil {
		return inv, fmt.Errorf("%w: metric %q needs %s, and only that", ErrInvalid, b.Metric, name)
	}
	inv.Bound = *bound
	return inv, inv.scope(b, d)
}

func (i *Invariant) scope(b invBlock, d *Drill) error {
	for name, into := range map[string]*time.Duration{b.From: &i.from, b.Until: &i.until} {
		if name == "" {
			continue
		}
		at := d.moment(name)
		if at == nil {
			return fmt.Errorf("%w: %q is neither a step nor the end of one", ErrInvalid, name)
		}
		*into = *at
	}
	switch b.Edges {
	case "", "all":
	case "surviving":
		i.surviving = true
	default:
		return fmt.Errorf("%w: edges %q: use all or surviving", ErrInvalid, b.Edges)
	}
	for _, kind := range b.Kinds {
		if !slices.ContainsFunc(d.Load.kinds, func(k load.Kind) bool { return k.Name == kind }) {
			return fmt.Errorf("%w: the load has no kind %q", ErrInvalid, kind)
		}
	}
	if b.Class != "" {
		if _, err := policy.ParseClass(b.Class); err != nil {
			return err
		}
	}
	if b.Metric == "return" && (b.Region == "" || b.From == "") {
		return fmt.Errorf("%w: metric return needs the region and from which moment on", ErrInvalid)
	}
	if b.Within == "" {
		return nil
	}
	var err error
	i.within, err = duration("within", b.Within, maxDuration)
	return err
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
}

// judge measures an invariant on what was recorded.
func (i *Invariant) judge(rec *record) Verdict {
	v := Verdict{Name: i.Name, Unit: metrics[i.Metric].unit, Bound: i.Bound}
	switch i.Metric {
	case "success":
		v.Value, v.Samples = rec.success(i)
	case "p99":
		v.Value, v.Samples = rec.p99(i)
	case "return":
		v.Value, v.Samples, v.Note = rec.returned(i)
	case "plan_changes":
		v.Value, v.Samples = rec.flaps()
	}
	v.Pass = v.Note == "" && (i.AtLeast && v.Value >= i.Bound || !i.AtLeast && v.Value <= i.Bound)
	if v.Samples < max(i.samples, 1) {
		v.Pass = false
		v.Note = fmt.Sprintf("only %d samples, %d are needed", v.Samples, max(i.samples, 1))
	}
	return v
}
