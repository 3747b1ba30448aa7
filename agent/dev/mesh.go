// Package dev runs several regions in one process on loopback: production
// agents, with a throw-away certificate authority, a static catalog, sample
// services and fault decorators around their sockets.
package dev

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/tidegate/tidegate/agent"
	"github.com/tidegate/tidegate/agent/config"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
	"github.com/tidegate/tidegate/transport/fault"
)

//go:embed policy.hcl
var defaultPolicy []byte

// Config describes a mesh. The zero value of a field means its default.
type Config struct {
	Regions  int           // default 3, at most 9
	Agents   int           // a region; default 2, at most 8
	Bind     string        // IP address; default 127.0.0.1
	Policy   []byte        // default: the one of `tidegate dev`
	Latency  time.Duration // of the sample services; default 5 ms
	Capacity int           // of an instance, requests at a time; default 64
	Services []Service     // default: alarms and telemetry everywhere, firmware in the first region
	Version  string
	Logger   *slog.Logger // default: discard
}

// Service is a sample service. The last of its instances in a region carries
// the tag "canary", the others "stable".
type Service struct {
	Name      string
	Regions   []string // where it lives; empty: everywhere
	Instances int      // a region; default 2

	// Handler answers instead of the sample, when set; it is still named and
	// failed by the instance.
	Handler http.Handler
}

func defaultServices() []Service {
	return []Service{{Name: "alarms"}, {Name: "telemetry"}, {Name: "firmware", Regions: names[:1]}}
}

// names of the regions, near ones first; the part before the dash is the group.
var names = []string{"eu-1", "eu-2", "us-1", "us-2", "ap-1", "ap-2", "sa-1", "af-1", "me-1"}

// Mesh is a running development mesh. Close it.
type Mesh struct {
	Dir     string // holds certificates, configurations and the policy
	Regions []*Region
	Faults  *fault.Switch

	cfg       Config
	authority *transport.Authority
	key       string
	token     string

	mu      sync.Mutex // guards regions
	regions map[netip.AddrPort]string
}

// Region is one region of the mesh.
type Region struct {
	Name      string
	Group     string
	Agents    []*Agent
	Instances []*Instance
}

// Agent is one agent of the mesh.
type Agent struct {
	*agent.Agent // nil after a crash
	Name         string
	Dir          string
	ports        ports
}

// ErrConfig is the kind of errors about a mesh that makes no sense.
var ErrConfig = fmt.Errorf("dev mesh: %w", policy.ErrInvalid)

func (c *Config) complete() error {
	if c.Regions == 0 {
		c.Regions = 3
	}
	if c.Agents == 0 {
		c.Agents = 2
	}
	if c.Bind == "" {
		c.Bind = "127.0.0.1"
	}
	if c.Policy == nil {
		c.Policy = defaultPolicy
	}
	if c.Latency == 0 {
		c.Latency = 5 * time.Millisecond
	}
	if c.Capacity == 0 {
		c.Capacity = 64
	}
	if c.Services == nil {
		c.Services = defaultServices()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.Regions < 1 || c.Regions > len(names):
		return fmt.Errorf("%w: %d regions: use 1 to %d", ErrConfig, c.Regions, len(names))
	case c.Agents < 1 || c.Agents > 8:
		return fmt.Errorf("%w: %d agents a region: use 1 to 8", ErrConfig, c.Agents)
	case net.ParseIP(c.Bind) == nil:
		return fmt.Errorf("%w: bind %q is not an IP address", ErrConfig, c.Bind)
	}
	return nil
}

// Start brings a mesh up. It returns when every agent is ready and sees every
// region, or fails when ctx ends first. On error nothing is left behind.
func Start(ctx context.Context, cfg Config) (*Mesh, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	m := &Mesh{cfg: cfg, regions: map[netip.AddrPort]string{}}
	m.Faults = fault.NewSwitch(m.regionOf)
	err := m.start(ctx)
	if err == nil {
		err = m.WaitReady(ctx)
	}
	if err != nil {
		_ = m.Close()
		return nil, err
	}
	return m, nil
}

func (m *Mesh) start(ctx context.Context) (err error) {
	if m.Dir, err = os.MkdirTemp("", "tidegate-dev-"); err != nil {
		return fmt.Errorf("dev mesh: make a folder: %w", err)
	}
	if err := m.makeSecrets(); err != nil {
		return err
	}
	for i := range m.cfg.Regions {
		if err := m.addRegion(names[i]); err != nil {
			return err
		}
	}
	for _, r := range m.Regions {
		for _, a := range r.Agents {
			if err := m.startAgent(ctx, r, a); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *Mesh) addRegion(name string) error {
	r := &Region{Name: name, Group: name[:2]}
	m.Regions = append(m.Regions, r)
	for _, service := range m.cfg.Services {
		if err := m.addInstances(r, service); err != nil {
			return err
		}
	}
	for n := range m.cfg.Agents {
		a := &Agent{Name: fmt.Sprintf("%s-agent-%d", name, n+1)}
		a.Dir = filepath.Join(m.Dir, a.Name)
		var err error
		if a.ports, err = freePorts(m.cfg.Bind); err != nil {
			return err
		}
		m.place(a, name)
		r.Agents = append(r.Agents, a)
	}
	return nil
}

func (m *Mesh) addInstances(r *Region, s Service) error {
	if len(s.Regions) > 0 && !slices.Contains(s.Regions, r.Name) {
		return nil
	}
	for n := range cmp.Or(s.Instances, 2) {
		i, err := startInstance(m.cfg.Bind, &Instance{
			Service: s.Name, Region: r.Name, Name: fmt.Sprintf("%s-%d", s.Name, n+1),
			slots: make(chan struct{}, m.cfg.Capacity), handler: s.Handler,
		}, m.cfg.Latency)
		if err != nil {
			return fmt.Errorf("dev mesh: start an instance of %s: %w", s.Name, err)
		}
		i.Tag = "stable"
		if n > 0 && n == cmp.Or(s.Instances, 2)-1 {
			i.Tag = "canary"
		}
		r.Instances = append(r.Instances, i)
	}
	return nil
}

// place remembers which addresses are whose, for faults by region.
func (m *Mesh) place(a *Agent, region string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, port := range []int{a.ports.edge, a.ports.mesh, a.ports.lan, a.ports.wan} {
		m.regions[netip.AddrPortFrom(netip.MustParseAddr(m.cfg.Bind), uint16(port))] = region
	}
}

func (m *Mesh) regionOf(addr netip.AddrPort) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.regions[addr]
}

func (m *Mesh) startAgent(ctx context.Context, r *Region, a *Agent) error {
	path, err := m.writeAgent(r, a)
	if err != nil {
		return err
	}
	cfg, err := config.Load([]string{path}, func(string) (string, bool) { return "", false }, nil)
	if err != nil {
		return err
	}
	opts := agent.Options{Version: m.cfg.Version, Logger: m.cfg.Logger, Network: m.network(a)}
	a.Agent, err = agent.New(ctx, cfg, opts)
	if err != nil {
		return err
	}
	return a.Start(ctx)
}

func (m *Mesh) network(a *Agent) agent.Network {
	self := netip.AddrPortFrom(netip.MustParseAddr(m.cfg.Bind), uint16(a.ports.mesh))
	return agent.Network{
		Packet:   func(c *net.UDPConn) net.PacketConn { return fault.PacketConn(c, m.Faults) },
		Listener: func(l net.Listener) net.Listener { return fault.Listener(l, m.Faults) },
		Dial:     fault.Dialer((&net.Dialer{}).DialContext, self, m.Faults),
		Memberlist: func(t memberlist.NodeAwareTransport) memberlist.NodeAwareTransport {
			return fault.Memberlist(t, m.Faults)
		},
	}
}

// WaitReady waits until every agent is ready and gives traffic to every region.
func (m *Mesh) WaitReady(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		waiting := m.waitingFor()
		if waiting == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("dev mesh: not ready: %s: %w", waiting, ctx.Err())
		case <-tick.C:
		}
	}
}

func (m *Mesh) waitingFor() string {
	for _, r := range m.Regions {
		for _, a := range r.Agents {
			if reason := m.missing(r, a); reason != "" {
				return a.Name + ": " + reason
			}
		}
	}
	return ""
}

func (m *Mesh) missing(r *Region, a *Agent) string {
	if a.Agent == nil {
		return ""
	}
	if ok, reason := a.Ready(); !ok {
		return reason
	}
	missing := map[string]int{}
	for _, i := range r.Instances {
		missing[i.Service]++
	}
	for service, ready := range a.ReadyInstances() {
		if n := missing[service] - ready; n > 0 {
			return fmt.Sprintf("%d instances of %s are not ready", n, service)
		}
	}
	return a.Missing(len(m.Regions) - 1)
}

// Close ends every agent and service and removes the mesh's folder.
func (m *Mesh) Close() error {
	var all sync.WaitGroup
	for _, r := range m.Regions {
		for _, a := range r.Agents {
			if a.Agent != nil {
				all.Go(func() { _ = a.Close() })
			}
		}
		for _, i := range r.Instances {
			i.close()
		}
	}
	all.Wait()
	if m.Dir == "" {
		return nil
	}
	return os.RemoveAll(m.Dir)
}
