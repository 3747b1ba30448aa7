package drill

import (
	"context"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/dev"
	"github.com/tidegate/tidegate/agent/load"
)

// mesh is what a drill is carried out on: one it starts for itself, or one
// that runs already.
type mesh interface {
	CheckFault(admin.Fault) error
	AddFault(context.Context, admin.Fault) error
	RemoveFault(ctx context.Context, id string) error
	Close() error

	hasRegion(name string) error                        // of kind policy.ErrInvalid
	order(context.Context, admin.OverrideRequest) error // an operator's word
	describe() string
	aim(*load.Config) // at its edges
	planChanges(context.Context) (planCount, error)
}

// ownMesh is a development mesh of the drill's own.
type ownMesh struct{ *dev.Mesh }

func startOwn(ctx context.Context, d *Drill, opts Options) (mesh, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	cfg := d.mesh
	cfg.Logger = opts.Logger
	m, err := dev.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return ownMesh{m}, nil
}

func (m ownMesh) describe() string { return "a mesh of its own" }

func (m ownMesh) hasRegion(name string) error {
	_, err := m.Region(name)
	return err
}

func (m ownMesh) order(ctx context.Context, o admin.OverrideRequest) error {
	return m.Override(ctx, o)
}

func (m ownMesh) aim(cfg *load.Config) {
	m.Aim(cfg)
}

func (m ownMesh) planChanges(context.Context) (planCount, error) { return m.PlanChanges(), nil }
