package policy

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// fault says why the region cannot serve the target at all, "" when it can.
func (r *Region) fault(target string) string {
	switch {
	case r.State == RegionUnknown:
		return "the region has not been heard yet"
	case r.Reported.IsZero():
		return "the region has sent no report yet"
	case r.Ready[target].Ready <= 0:
		return "it reports no ready instance of " + target
	case len(r.Agents) == 0:
		return "it reports no agent to forward to"
	}
	return ""
}

// doubt says why what the region reports may no longer be true, "" when it is
// to be believed.
func (r *Region) doubt(now time.Time) string {
	switch {
	case r.State == RegionDown:
		return "the region is down"
	case now.Sub(r.Reported) > ReportExpiry:
		return fmt.Sprintf("its report is %s old: it counts for %s", now.Sub(r.Reported).Round(100*time.Millisecond), ReportExpiry)
	}
	return ""
}

// draining says that the region, or every agent of it, asks for no new traffic.
func (r *Region) draining() bool {
	stays := func(a Agent) bool { return !a.Draining }
	return r.State == RegionDraining || !slices.ContainsFunc(r.Agents, stays)
}

// byDistance orders the other regions: own group first, then round-trip time in
// whole milliseconds (less is noise), unmeasured ones last, ties by name.
func (v *View) byDistance() []*Region {
	if known := v.order.Load(); known != nil {
		return *known
	}
	order := make([]*Region, 0, len(v.Regions))
	for _, r := range v.Regions {
		order = append(order, r)
	}
	slices.SortFunc(order, v.compareDistance)
	v.order.Store(&order)
	return order
}

func (v *View) compareDistance(a, b *Region) int {
	return cmp.Or(
		compareFalseFirst(a.Group != v.Group, b.Group != v.Group),
		compareFalseFirst(a.RTT == 0, b.RTT == 0),
		cmp.Compare(a.RTT.Truncate(time.Millisecond), b.RTT.Truncate(time.Millisecond)),
		cmp.Compare(a.Name, b.Name),
	)
}

func compareFalseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
