// Package dev runs several regions in one process on loopback: production
// agents, with a throw-away certificate authority, a static catalog, sample
// services and fault decorators around their sockets.
package dev

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/hashicorp/memberlist"

	"github.com/tidegate/tidegate/agent"
	"github.com/tidegate/tidegate/agent/config"
	"github.com/tidegate/tidegate/agent/inject"
	"github.com/tidegate/tidegate/transport"
	"github.com/tidegate/tidegate/transport/fault"
)

// Mesh is a running development mesh. Close it.
type Mesh struct {
	Dir     string // holds certificates, configurations and the policy
	Regions []*Region

	cfg         Config
	network     *fault.Switch
	authority   *transport.Authority
	key         string
	token       string // of the control API and of egress
	deviceToken string
	taken       map[int]bool // ports given to agents

	mu      sync.Mutex // guards regions
	regions map[netip.AddrPort]string

	running sync.Mutex // guards which agents run
	faults  *inject.Book
	shifts  sync.WaitGroup  // of capacities, over time
	life    context.Context // ends with the mesh
	end     context.CancelFunc
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

// Start brings a mesh up. It returns when every agent is ready and sees every
// region, or fails when ctx ends first. On error nothing is left behind.
func Start(ctx context.Context, cfg Config) (*Mesh, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	if err := checkBind(cfg.Bind); err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		m, err := startOnce(ctx, cfg)
		if attempt == portAttempts || !errors.Is(err, syscall.EADDRINUSE) {
			return m, err
		}
	}
}

// portAttempts is how often a mesh is started when another process takes a
// port between its choice and its use.
const portAttempts = 3

func startOnce(ctx context.Context, cfg Config) (*Mesh, error) {
	m := &Mesh{cfg: cfg, taken: map[int]bool{}, regions: map[netip.AddrPort]string{}}
	m.life, m.end = context.WithCancel(context.WithoutCancel(ctx))
	m.faults = inject.NewBook(m.begin, cfg.Logger)
	m.network = fault.NewSwitch(m.regionOf)
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
	m.running.Lock()
	defer m.running.Unlock()
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
		if a.ports, err = m.freePorts(); err != nil {
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
		capacity := cmp.Or(s.Capacity, m.cfg.Capacity)
		i, err := startInstance(m.cfg.Bind, &Instance{
			Service: s.Name, Region: r.Name, Name: fmt.Sprintf("%s-%d", s.Name, n+1),
			slots: slots{limit: capacity}, capacity: capacity, handler: s.Handler,
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
		m.regions[m.addrPort(port)] = region
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
	load := func() (*config.Config, error) {
		return config.Load([]string{path}, func(string) (string, bool) { return "", false }, nil)
	}
	cfg, err := load()
	if err != nil {
		return err
	}
	opts := agent.Options{Version: m.cfg.Version, Logger: m.cfg.Logger, Network: m.decorators(a), Faults: hooks{m, a.Name}, Reread: load}
	a.Agent, err = agent.New(ctx, cfg, opts)
	if err != nil {
		return err
	}
	return a.Start(ctx)
}

func (m *Mesh) decorators(a *Agent) agent.Network {
	self := m.addrPort(a.ports.mesh)
	return agent.Network{
		Packet:   func(c *net.UDPConn) net.PacketConn { return fault.PacketConn(c, m.network) },
		Listener: func(l net.Listener) net.Listener { return fault.Listener(l, m.network) },
		Dial:     fault.Dialer((&net.Dialer{}).DialContext, self, m.network),
		Memberlist: func(t memberlist.NodeAwareTransport) memberlist.NodeAwareTransport {
			return fault.Memberlist(t, m.network)
		},
	}
}

// Close ends every fault, agent and service and removes the mesh's folder.
func (m *Mesh) Close() error {
	m.faults.Close()
	m.end()
	m.shifts.Wait()
	m.running.Lock()
	defer m.running.Unlock()
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
