package drill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/dev"
	"github.com/tidegate/tidegate/agent/ledger"
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
	heal(context.Context) error                         // ends the faults of drills, and takes back an operator's words
	describe() string
	aim(*load.Config) // at its edges
	planChanges(context.Context) (planCount, error)
	witnesses() []witness
	ledger(*Drill) *journals // nil: there is none
}

// ownMesh is a development mesh of the drill's own.
type ownMesh struct {
	*dev.Mesh
	words words
}

func startOwn(ctx context.Context, d *Drill, opts Options) (mesh, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	cfg := d.mesh
	cfg.Logger = opts.Logger
	m, err := dev.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &ownMesh{m, words{}}, nil
}

func (m *ownMesh) describe() string { return "a mesh of its own" }

func (m *ownMesh) hasRegion(name string) error {
	_, err := m.Region(name)
	return err
}

func (m *ownMesh) order(ctx context.Context, o admin.OverrideRequest) error {
	return m.words.give(o, func() error { return m.Override(ctx, o) })
}

func (m *ownMesh) heal(ctx context.Context) error {
	return errors.Join(endFaults(ctx, m.Faults(), m.RemoveFault), m.words.takeBack(ctx, m.order))
}

// witnesses keep their addresses when they start again after a crash.
func (m *ownMesh) witnesses() (all []witness) {
	for _, r := range m.Regions {
		for _, a := range r.Agents {
			all = append(all, witness{a.Name, r.Name, metricsAt("http://"+a.AdminAddr()+admin.PathMetrics, m.Token())})
		}
	}
	return all
}

func metricsAt(address, token string) func(context.Context) ([]byte, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return func(ctx context.Context) ([]byte, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("GET %s: status %d", address, resp.StatusCode)
		}
		return io.ReadAll(resp.Body)
	}
}

func (m *ownMesh) ledger(d *Drill) *journals {
	var all []journal
	for _, r := range m.Regions {
		for _, i := range r.Instances {
			all = append(all, func(_ context.Context, run string) (ledger.Page, error) { return i.Journal().Page(run), nil })
		}
	}
	j := newJournals(all...)
	j.signed = d.Load.Over == load.OverHTTP3
	return j
}

func (m *ownMesh) aim(cfg *load.Config) {
	m.Aim(cfg)
}

func (m *ownMesh) planChanges(context.Context) (planCount, error) { return m.PlanChanges(), nil }
