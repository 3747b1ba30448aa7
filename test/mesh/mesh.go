// Package mesh runs a whole mesh for tests as an operator would: a Consul
// server for each region, joined over WAN, agents as processes of their own,
// services registered in Consul.
package mesh

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/tidegate/tidegate/agent/catalog/consultest"
	"github.com/tidegate/tidegate/transport"
)

const policyKey = "tidegate/policy"

// Config describes a mesh.
type Config struct {
	Policy  string   // written into every datacenter before the agents start
	Regions []string // default eu-1, eu-2, us-1; the group is the part before the dash
	Agents  int      // in each region; default 2
	Faults  bool     // agents take faults, of whoever shows the operator's token
}

// Mesh is a set of regions. Its processes end with the test that made it.
type Mesh struct {
	Regions []*Region

	authority *transport.Authority
	gossipKey string
	token     string
	operator  string // token; empty: agents take no faults
	faultPort int    // of all agents

	mu        sync.Mutex // guards instances
	instances []*Instance
}

// Region is a Consul datacenter, its agents and the instances registered there.
type Region struct {
	Name, Group, IP string
	Consul          *consultest.Server
	Agents          []*Agent

	mesh *Mesh
}

// New starts the Consul servers and prepares the agents without starting them.
// It skips or fails the test when there is no Consul.
func New(t testing.TB, cfg Config) *Mesh {
	t.Helper()
	if cfg.Regions == nil {
		cfg.Regions = []string{"eu-1", "eu-2", "us-1"}
	}
	if cfg.Agents == 0 {
		cfg.Agents = 2
	}
	servers := consultest.Federate(t, cfg.Regions...)
	m := newMesh(t)
	if cfg.Faults {
		m.operator, m.faultPort = rand.Text(), candidate()
	}
	for i, server := range servers {
		r := m.addRegion(server, fmt.Sprintf("127.0.1.%d", i+1))
		r.PutPolicy(t, cfg.Policy)
		for n := range cfg.Agents {
			r.addAgent(t, n, "")
		}
	}
	return m
}

// Alone is a mesh of one agent at a server that was started by the test; token
// is the agent's for Consul.
func Alone(t testing.TB, server *consultest.Server, policy, token string) *Mesh {
	t.Helper()
	m := newMesh(t)
	r := m.addRegion(server, "127.0.1.1")
	r.PutPolicy(t, policy)
	r.addAgent(t, 0, token)
	return m
}

func newMesh(t testing.TB) *Mesh {
	t.Helper()
	authority, err := transport.NewAuthority("tidegate tests", "test.tidegate", validity)
	if err != nil {
		t.Fatal(err)
	}
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails (crypto/rand)
	return &Mesh{authority: authority, gossipKey: base64.StdEncoding.EncodeToString(key[:]), token: rand.Text()}
}

func (m *Mesh) addRegion(server *consultest.Server, ip string) *Region {
	group, _, _ := strings.Cut(server.DC(), "-")
	r := &Region{Name: server.DC(), Group: group, IP: ip, Consul: server, mesh: m}
	m.Regions = append(m.Regions, r)
	return r
}

func (r *Region) addAgent(t testing.TB, n int, token string) {
	t.Helper()
	a := &Agent{
		Name: fmt.Sprintf("%s-%c", r.Name, 'a'+n), Region: r, IP: r.IP, Sockets: n > 0, ConsulToken: token,
	}
	if r.mesh.operator != "" { // one port for all: each agent has an address of its own
		a.IP = strings.Replace(r.IP, "127.0.1.", fmt.Sprintf("127.0.%d.", n+1), 1)
	}
	a.Ports = freePorts(t, a.IP)
	// Not under the test's own folder: the path of a unix socket is short.
	dir, err := os.MkdirTemp("", "tidegate-"+a.Name+"-")
	if err != nil {
		t.Fatal(err)
	}
	a.dir = dir
	t.Cleanup(func() {
		a.end(t)
		_ = os.RemoveAll(a.dir)
	})
	a.write(t)
	r.Agents = append(r.Agents, a)
}

// PutPolicy writes a policy into the region's datacenter, past all checks.
func (r *Region) PutPolicy(t testing.TB, policy string) {
	t.Helper()
	if policy == "" {
		return
	}
	if _, err := r.Consul.Client().KV().Put(&api.KVPair{Key: policyKey, Value: []byte(policy)}, nil); err != nil {
		t.Fatalf("write policy in %s: %v", r.Name, err)
	}
}

// Agents are all agents, region by region.
func (m *Mesh) Agents() []*Agent {
	var all []*Agent
	for _, r := range m.Regions {
		all = append(all, r.Agents...)
	}
	return all
}

// Region returns a region by name.
func (m *Mesh) Region(name string) *Region {
	for _, r := range m.Regions {
		if r.Name == name {
			return r
		}
	}
	panic("no region " + name)
}

// Start starts all agents that do not run.
func (m *Mesh) Start(t testing.TB) {
	t.Helper()
	for _, a := range m.Agents() {
		if !a.Running() {
			a.Start(t)
		}
	}
}

// wholeWithin bounds how long a mesh may take to become whole after whatever
// happened to it.
const wholeWithin = 60 * time.Second

// AwaitWhole waits until every running agent knows all running agents of all
// regions, reaches them, has a policy and sees every healthy instance.
func (m *Mesh) AwaitWhole(t testing.TB) {
	t.Helper()
	began := time.Now()
	Await(t, wholeWithin, func() string {
		for _, a := range m.Agents() {
			if !a.Running() {
				continue
			}
			if missing := m.missing(a); missing != "" {
				return "agent " + a.Name + ": " + missing
			}
		}
		return ""
	})
	t.Logf("whole after %s", time.Since(began).Round(10*time.Millisecond))
}

// File writes content into a file of the test and returns its path.
func File(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
