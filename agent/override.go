package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidegate/tidegate/agent/admin"
)

// errNoOverrides says that gossip does not carry operators' words.
var errNoOverrides = errors.New("this version cannot tell the mesh an operator's word on a region")

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
	return admin.OverrideAnswer{}, errNoOverrides
}
