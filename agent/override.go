package agent

import (
	"context"
	"fmt"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/policy"
)

// Override tells the mesh an operator's word on a region. Errors are of kind
// policy.ErrInvalid when it makes no sense, admin.ErrNotFound when no such
// region is known.
func (a *Agent) Override(_ context.Context, in admin.OverrideRequest) (admin.OverrideAnswer, error) {
	if err := in.Check(); err != nil {
		return admin.OverrideAnswer{}, err
	}
	return admin.OverrideAnswer{}, fmt.Errorf("%w: gossip has no overrides yet", policy.ErrInvalid)
}
