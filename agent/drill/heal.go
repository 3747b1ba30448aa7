package drill

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/tidegate/tidegate/agent/admin"
)

// words are the regions on which a word of the drill's may be in force.
type words map[string]bool

// give notes a word before it is given: one that was not answered may hold.
func (w words) give(o admin.OverrideRequest, do func() error) error {
	if o.Action != admin.ActionRelease {
		w[o.Region] = true
		return do()
	}
	err := do()
	if err == nil {
		delete(w, o.Region)
	}
	return err
}

func (w words) takeBack(ctx context.Context, order func(context.Context, admin.OverrideRequest) error) (err error) {
	for _, region := range slices.Sorted(maps.Keys(w)) {
		err = errors.Join(err, order(ctx, admin.OverrideRequest{Action: admin.ActionRelease, Region: region}))
	}
	return err
}

// endFaults ends those that a drill's steps have put in force, the latest first.
func endFaults(ctx context.Context, inForce []admin.ActiveFault, remove func(context.Context, string) error) (err error) {
	for _, f := range slices.Backward(inForce) {
		if strings.HasPrefix(f.ID, stepPrefix) {
			err = errors.Join(err, remove(ctx, f.ID))
		}
	}
	return err
}
