package agent

import (
	"context"
	"fmt"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/gossip"
	"github.com/tidegate/tidegate/policy"
)

// Override tells the mesh an operator's word on a region. Errors are of kind
// policy.ErrInvalid when it makes no sense, admin.ErrNotFound when no such
// region is known.
func (a *Agent) Override(_ context.Context, in admin.OverrideRequest) (admin.OverrideAnswer, error) {
	if err := in.Check(); err != nil {
		return admin.OverrideAnswer{}, err
	}
	v := a.view.Load()
	if _, known := v.Regions[in.Region]; !known && in.Region != v.Region {
		return admin.OverrideAnswer{}, fmt.Errorf("%w: no region %q: `tidegate regions` lists those known", admin.ErrNotFound, in.Region)
	}
	order := gossip.Override{Region: in.Region, Kind: in.Action, Reason: in.Reason, Left: in.For()}
	if err := a.gossip.Override(order); err != nil {
		return admin.OverrideAnswer{}, fmt.Errorf("%w: %w", policy.ErrInvalid, err)
	}
	a.log.Warn("operator's word on a region", "action", in.Action, "remote", in.Region, "reason", in.Reason, "for", in.For())
	ans := admin.OverrideAnswer{Agent: a.cfg.Name, Region: in.Region}
	if in.Action != admin.ActionRelease {
		ans.Override = &admin.Override{Kind: in.Action, Reason: in.Reason, By: a.cfg.Name}
		if left := in.For().Seconds(); left > 0 {
			ans.Override.LeftSeconds = &left
		}
	}
	return ans, nil
}

// overridesOf leaves out what only a newer agent understands.
func overridesOf(told []gossip.Override) map[string]policy.Override {
	all := make(map[string]policy.Override, len(told))
	for _, o := range told {
		if kind, err := policy.ParseOverrideKind(o.Kind); err == nil {
			all[o.Region] = policy.Override{Region: o.Region, Kind: kind, Reason: o.Reason, By: o.By, Expires: o.Expires}
		}
	}
	return all
}
