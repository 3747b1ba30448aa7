package policy

import "time"

// ReportExpiry is the age at which a region's report counts no more.
const ReportExpiry = 15 * time.Second

// FailoverMode says which other regions may serve when the local one cannot.
type FailoverMode uint8

// The modes of failover; the zero value is the default.
const (
	FailoverNearest FailoverMode = iota // the group's regions by round-trip time
	FailoverNone                        // the local region only
	FailoverList                        // exactly Failover.Regions, in that order
)

// String returns the mode as written in a policy.
func (m FailoverMode) String() string {
	switch m {
	case FailoverNone:
		return "none"
	case FailoverList:
		return "list"
	}
	return "nearest"
}

// Failover is what a service says about other regions. The zero value is the
// default: the regions of the own group, nearest first.
type Failover struct {
	Mode    FailoverMode
	Regions []string // with FailoverList only; never empty then, no duplicates
	// BeyondGroup lets other groups' regions serve, by round-trip time, after
	// those of the own group. Only with FailoverNearest. Default false. Regions
	// that name no group form one together.
	BeyondGroup bool
}

// Plan says which regions may serve t, best first: the local one, then those f
// names. allowed, when not empty, names the only regions that may, the local
// one included.
//
// A remote region counts when it is alive, reports a ready instance, its report
// is not older than ReportExpiry at View.Built, and one of its agents does not
// drain; so the view has to be built anew at least every few seconds. What
// could still serve although it should not comes last: the local region while
// it drains, other regions that drain, local instances gone from the catalog.
// Regions that are down or whose report is older come in only when there is
// nothing else: one of their agents may be in reach again before that is known.
//
// Weights are the shares that Spill worked out for the service, and sum to 1
// over the legs that are no last resorts. What may not go where it should, by
// allowed or because the region has no such subset, stays in the own region (to
// be shed there when it is too much), or, where that may not serve, goes to the
// others in proportion. Without shares the first leg has weight 1.
//
// A request that came over the mesh is never planned, only picked for, so no
// request can travel in a circle.
//
// Without a trace the answer is kept in the view and found again by the
// identity of f.Regions and allowed: neither may be changed while the view is
// in use, nor may the Legs of the answer. Safe for concurrent use; does not
// allocate when the answer is known.
func (v *View) Plan(t Target, f Failover, allowed []string, tr *Trace) Plan {
	if tr != nil {
		return Plan{Target: t, Legs: v.waterfall(t, f, allowed, tr)}
	}
	key := newPlanKey(t, f, allowed)
	if known := v.plans.find(&key); known != nil {
		return known.plan
	}
	plan := Plan{Target: t, Legs: v.waterfall(t, f, allowed, nil)}
	v.plans.keep(&planEntry{key: key, plan: plan})
	return plan
}
