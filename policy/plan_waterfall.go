package policy

import (
	"slices"
	"strings"
	"time"
)

const stageRegion = "region"

// waterfall fills the legs of one plan, the good ones before the last resorts.
type waterfall struct {
	view    *View
	target  string
	allowed []string
	trace   *Trace
	shares  *Shares // nil: not known
	legs    []Leg
	taken   []int // of each of legs its step in the trace
	last    []Leg
	stays   bool  // the own region spills nothing, by order
	hopes   []Leg // only when there is nothing else: a tunnel may be up already
	faint   []Leg // after those: they drained when last heard
}

func (v *View) waterfall(t Target, f Failover, allowed []string, tr *Trace) []Leg {
	w := &waterfall{view: v, target: t.String(), allowed: allowed, trace: tr, shares: v.Shares[t.Service]}
	distrusted := w.local()
	switch f.Mode {
	case FailoverNone:
		w.passAll("the service does not fail over to other regions (failover = \"none\")")
	case FailoverList:
		w.listed(f.Regions)
	default:
		w.nearest(f.BeyondGroup)
	}
	if distrusted {
		w.last = append(w.last, Leg{Region: v.Region, Local: true, LastResort: true, Reason: "last resort: its instances have left the catalog"})
	}
	if len(w.legs)+len(w.last) == 0 {
		w.last = append(w.hopes, w.faint...)
	}
	for _, leg := range w.last {
		tr.Take(stageRegion, leg.Region, leg.Reason)
	}
	w.weigh()
	return append(w.legs, w.last...)
}

// local considers the own region and says whether instances that have left the
// catalog are all it has.
func (w *waterfall) local() (distrusted bool) {
	v, pool := w.view, w.view.Local[w.target]
	switch {
	case !w.isAllowed(v.Region):
		w.passForbidden(v.Region)
	case pool == nil || len(pool.Instances) == 0:
		w.trace.Pass(stageRegion, v.Region, "no instance of "+w.target+" is known here")
	case len(pool.ready) == 0 && len(pool.distrusted) == 0:
		w.tracef(v.Region, "none of its instances of %s is ready (%d known)", w.target, len(pool.Instances))
	case len(pool.ready) == 0:
		w.tracef(v.Region, "its instances of %s have left the catalog (%d remembered): only when nothing else is left", w.target, len(pool.distrusted))
		return true
	case v.override(v.Region) == Evacuate:
		w.resort(v.Region, "the region is to be left ("+v.Overrides[v.Region].describe()+")")
	case v.Draining:
		w.resort(v.Region, "the region drains")
	default:
		w.take(Leg{Region: v.Region, Local: true, Reason: "local"}, "local, %d ready", len(pool.ready))
		w.stays = v.override(v.Region) == Pin
	}
	return false
}

func (w *waterfall) nearest(beyondGroup bool) {
	for _, r := range w.view.byDistance() {
		switch {
		case r.Group == w.view.Group:
			w.remote(r, "in the group")
		case beyondGroup:
			w.remote(r, "beyond the group")
		default:
			w.tracef(r.Name, "in group %q, and the service stays in group %q (beyond_group = false)", r.Group, w.view.Group)
		}
	}
}

func (w *waterfall) listed(names []string) {
	for i, name := range names {
		r := w.view.Regions[name]
		switch {
		case name == w.view.Region || slices.Contains(names[:i], name):
		case r == nil:
			w.trace.Pass(stageRegion, name, "listed, but no such region is known in the mesh")
		default:
			w.remote(r, "listed by the service")
		}
	}
	if w.trace == nil {
		return
	}
	for _, r := range w.view.byDistance() {
		if !slices.Contains(names, r.Name) {
			w.trace.Pass(stageRegion, r.Name, "not in the service's failover list")
		}
	}
}

func (w *waterfall) remote(r *Region, why string) {
	if !w.isAllowed(r.Name) {
		w.passForbidden(r.Name)
		return
	}
	if fault := r.fault(w.target); fault != "" {
		w.trace.Pass(stageRegion, r.Name, fault)
		return
	}
	doubt := r.doubt(w.view.Built)
	if doubt != "" && r.State != RegionDown && w.shareOf(r.Name) > 0 {
		why, doubt = why+", its share stays as it was: "+doubt, ""
	}
	if doubt != "" {
		w.hope(r, doubt)
		return
	}
	switch order := w.view.override(r.Name); {
	case order == Evacuate:
		w.resort(r.Name, "the region is to be left ("+w.view.Overrides[r.Name].describe()+")")
	case r.draining():
		w.resort(r.Name, "the region drains")
	case w.stays:
		w.resort(r.Name, "the own region keeps its demand ("+w.view.Overrides[w.view.Region].describe()+")")
	case order == Pin && w.hasLocal():
		w.resort(r.Name, "the region takes no spill ("+w.view.Overrides[r.Name].describe()+")")
	default:
		w.take(Leg{Region: r.Name, Reason: why}, "%s, %s, %d ready", why, describeRTT(r.RTT), r.Ready[w.target].Ready)
	}
}

func (w *waterfall) hope(r *Region, doubt string) {
	w.trace.Pass(stageRegion, r.Name, doubt)
	kind := &w.hopes
	if r.draining() {
		kind = &w.faint
	}
	*kind = append(*kind, Leg{Region: r.Name, LastResort: true, Reason: "last resort: " + doubt + ", and nothing else is left"})
}

func (w *waterfall) hasLocal() bool { return len(w.legs) > 0 && w.legs[0].Local }

func (w *waterfall) take(leg Leg, reason string, args ...any) {
	w.legs = append(w.legs, leg)
	if w.trace != nil {
		w.taken = append(w.taken, len(w.trace.Steps))
		w.trace.Take(stageRegion, leg.Region, reason, args...)
	}
}

// resort keeps a region for when no other can serve.
func (w *waterfall) resort(region, why string) {
	if w.trace != nil {
		w.trace.Pass(stageRegion, region, why+": only when no other can serve")
	}
	w.last = append(w.last, Leg{Region: region, Local: region == w.view.Region, LastResort: true, Reason: "last resort: " + why})
}

func (w *waterfall) passAll(reason string) {
	if w.trace == nil {
		return
	}
	for _, r := range w.view.byDistance() {
		w.trace.Pass(stageRegion, r.Name, reason)
	}
}

func (w *waterfall) isAllowed(region string) bool {
	return len(w.allowed) == 0 || slices.Contains(w.allowed, region)
}

func (w *waterfall) passForbidden(region string) {
	if w.trace != nil {
		w.trace.Pass(stageRegion, region, "the route allows only "+strings.Join(w.allowed, ", "))
	}
}

// tracef spares the boxing of its arguments when nobody asks.
func (w *waterfall) tracef(region, reason string, args ...any) {
	if w.trace != nil {
		w.trace.Pass(stageRegion, region, reason, args...)
	}
}

func describeRTT(rtt time.Duration) string {
	if rtt == 0 {
		return "distance not measured"
	}
	return rtt.Round(100*time.Microsecond).String() + " away"
}
