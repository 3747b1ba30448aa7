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
	legs    []Leg
	last    []Leg
	hopes   []Leg // only when there is nothing else: a tunnel may be up already
}

func (v *View) waterfall(t Target, f Failover, allowed []string, tr *Trace) []Leg {
	w := &waterfall{view: v, target: t.String(), allowed: allowed, trace: tr}
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
		w.last = append(w.last, Leg{Region: v.Region, Local: true, Reason: "last resort: its instances have left the catalog"})
	}
	if len(w.legs)+len(w.last) == 0 {
		w.last = w.hopes
	}
	for _, leg := range w.last {
		tr.Take(stageRegion, leg.Region, leg.Reason)
	}
	if len(w.legs) > 0 {
		w.legs[0].Weight = 1
	}
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
	case v.Draining:
		w.trace.Pass(stageRegion, v.Region, "the region drains: only when no other can serve")
		w.last = append(w.last, Leg{Region: v.Region, Local: true, Reason: "last resort: the region drains"})
	default:
		w.legs = append(w.legs, Leg{Region: v.Region, Local: true, Reason: "local"})
		if w.trace != nil {
			w.trace.Take(stageRegion, v.Region, "local, %d ready", len(pool.ready))
		}
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
	if doubt := r.doubt(w.view.Built); doubt != "" {
		w.trace.Pass(stageRegion, r.Name, doubt)
		w.hopes = append(w.hopes, Leg{Region: r.Name, Reason: "last resort: " + doubt + ", and nothing else is left"})
		return
	}
	if r.draining() {
		w.trace.Pass(stageRegion, r.Name, "the region drains: only when no other can serve")
		w.last = append(w.last, Leg{Region: r.Name, Reason: "last resort: the region drains"})
		return
	}
	w.legs = append(w.legs, Leg{Region: r.Name, Reason: why})
	if w.trace != nil {
		w.trace.Take(stageRegion, r.Name, "%s, %s, %d ready", why, describeRTT(r.RTT), r.Ready[w.target].Ready)
	}
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
