package drill

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/load"
	"github.com/tidegate/tidegate/policy"
)

// Ask sends a request to the control API of an agent, with body as JSON unless it is
// nil, and returns the body of a 2xx answer.
type Ask func(ctx context.Context, method, path string, body any) ([]byte, error)

// Running is a mesh that runs already, seen through the control API of one of
// its agents, and of others whose metrics are looked at too.
type Running struct {
	Ask    Ask
	Others []Ask

	TLS      *tls.Config                               // roots to trust at the edges
	Identity func(device int) (tls.Certificate, error) // nil: devices show no certificate
}

const (
	reservation = "drill"          // ID of the fault that keeps other drills out
	grace       = 30 * time.Second // that faults last longer than planned if the drill dies
	letGo       = 30 * time.Second // for removing what a drill left
)

// runningMesh is reserved for one drill until Close.
type runningMesh struct {
	*Running
	admin.MembersAnswer
	words words
	seen  []witness
}

// reserve takes hold of a running mesh for a drill. It fails while another
// drill runs on it.
func (r *Running) reserve(ctx context.Context, d *Drill) (mesh, error) {
	if len(d.Load.Tenants) > 0 {
		return nil, fmt.Errorf("%w: drill %s has tenants: only a mesh of its own gives devices their certificates", policy.ErrInvalid, d.Name)
	}
	m := &runningMesh{Running: r, words: words{}}
	if err := m.meet(ctx); err != nil {
		return nil, err
	}
	if len(m.edges()) == 0 && !d.Observe {
		return nil, errors.New("no agent of the mesh tells where its edge is")
	}
	hold := admin.Fault{ID: reservation, Kind: admin.FaultDrill, Seconds: (d.lead() + d.Duration + grace).Seconds()}
	if err := m.AddFault(ctx, hold); err != nil {
		return nil, fmt.Errorf("reserve the mesh for drill %s: %w", d.Name, err)
	}
	return m, nil
}

// meet asks all agents who they are.
func (m *runningMesh) meet(ctx context.Context) error {
	for n, ask := range append([]Ask{m.Ask}, m.Others...) {
		var who admin.MembersAnswer
		if err := ask.get(ctx, admin.PathMembers, &who); err != nil {
			return err
		}
		if n == 0 {
			m.MembersAnswer = who
		}
		m.seen = append(m.seen, witness{who.Self, who.Region, func(ctx context.Context) ([]byte, error) {
			return ask(ctx, http.MethodGet, admin.PathMetrics, nil)
		}})
	}
	return nil
}

func (ask Ask) get(ctx context.Context, path string, into any) error {
	raw, err := ask(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("answer to GET %s: %w", path, err)
	}
	return nil
}

func (m *runningMesh) witnesses() []witness { return m.seen }

func (m *runningMesh) ledger(d *Drill) *journals {
	if len(d.journals) == 0 {
		return nil
	}
	var all []journal
	for _, address := range d.journals {
		all = append(all, journalAt(address))
	}
	return newJournals(all...)
}

func (m *runningMesh) describe() string {
	return fmt.Sprintf("the running mesh of %s: %d agents; the file's own mesh is not used", m.Self, len(m.Members))
}

// CheckFault looks the names of a fault up among the members. Which services
// there are only the mesh knows.
func (m *runningMesh) CheckFault(f admin.Fault) error {
	for _, region := range []string{f.Region, f.From, f.To} {
		if err := m.hasRegion(region); region != "" && err != nil {
			return err
		}
	}
	known := func(a admin.Member) bool { return a.Name == f.Agent }
	switch {
	case f.Agent == "":
		return nil
	case f.Agent == m.Self:
		return fmt.Errorf("%w: the drill crashes %s, which it is run through: ask another agent", policy.ErrInvalid, m.Self)
	case !slices.ContainsFunc(m.Members, known):
		return fmt.Errorf("%w: the running mesh has no agent %q", policy.ErrInvalid, f.Agent)
	}
	return nil
}

func (m *runningMesh) hasRegion(name string) error {
	if !slices.ContainsFunc(m.Members, func(a admin.Member) bool { return a.Region == name }) {
		return fmt.Errorf("%w: the running mesh has no region %q", policy.ErrInvalid, name)
	}
	return nil
}

func (m *runningMesh) order(ctx context.Context, o admin.OverrideRequest) error {
	return m.words.give(o, func() error {
		_, err := m.Ask(ctx, http.MethodPost, admin.PathOverride, o)
		return err
	})
}

func (m *runningMesh) AddFault(ctx context.Context, f admin.Fault) error {
	_, err := m.Ask(ctx, http.MethodPost, admin.PathFaults, f)
	return err
}

func (m *runningMesh) RemoveFault(ctx context.Context, id string) error {
	_, err := m.Ask(ctx, http.MethodDelete, admin.PathFaults+"/"+url.PathEscape(id), nil)
	return err
}

func (m *runningMesh) heal(ctx context.Context) error {
	var left admin.FaultsAnswer
	if err := m.Ask.get(ctx, admin.PathFaults, &left); err != nil {
		return err
	}
	return errors.Join(endFaults(ctx, left.Faults, m.RemoveFault), m.words.takeBack(ctx, m.order))
}

// Close removes what the drill left in force and lets the mesh go.
func (m *runningMesh) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), letGo)
	defer cancel()
	return errors.Join(m.heal(ctx), m.RemoveFault(ctx, reservation))
}

func (m *runningMesh) aim(cfg *load.Config) {
	cfg.Edges, cfg.TLS, cfg.Identity = m.edges(), m.TLS, m.Identity
}

func (m *runningMesh) edges() []load.Edge {
	var all []load.Edge
	for _, a := range m.Members {
		if a.EdgeAddr != "" && a.State == "alive" && !a.Draining {
			all = append(all, load.Edge{Region: a.Region, Agent: a.Name, Addr: a.EdgeAddr})
		}
	}
	return all
}

const planChanges = "tidegate_plan_changes_total"

// planChanges are those of the one agent that is asked.
func (m *runningMesh) planChanges(ctx context.Context) (planCount, error) {
	raw, err := m.Ask(ctx, http.MethodGet, admin.PathMetrics, nil)
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", m.Self, err)
	}
	services := map[string]float64{}
	for _, counter := range families[planChanges].GetMetric() {
		for _, label := range counter.GetLabel() {
			if label.GetName() == "service" {
				services[label.GetValue()] = counter.GetCounter().GetValue()
			}
		}
	}
	return planCount{m.Self: services}, nil
}
