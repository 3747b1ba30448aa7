// Package consultest starts real Consul servers for tests: one a datacenter,
// joined over WAN when wanted, killed and started again at will.
package consultest

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// Config says what server to start.
type Config struct {
	DC   string         // datacenter; default dc1
	Bind string         // address of all its listeners; default 127.0.1.1
	Join []string       // WAN addresses (Server.WANAddr) to join, retried until they answer
	ACL  bool           // deny by default; Server.Client then uses a token that may do everything
	More map[string]any // further settings, as in a Consul configuration file
}

// Server is a Consul server of one datacenter. Methods fail the test rather
// than return errors; they are for the test's goroutine.
type Server struct {
	cfg    Config
	t      testing.TB
	binary string
	dir    string
	ports  ports
	token  string
	proc   *process
	client *api.Client
}

// leaderWithin bounds how long a server may take to lead its datacenter.
const leaderWithin = 45 * time.Second

// Start runs a server until the test ends and waits until it leads. It skips
// or fails the test when there is no consul: see Binary.
func Start(t testing.TB, cfg Config) *Server {
	t.Helper()
	s := launch(t, Binary(t), cfg)
	s.WaitLeader()
	return s
}

// Federate runs a server for each datacenter, on 127.0.1.1, 127.0.1.2 and so
// on, joined over WAN, and waits until each knows all.
func Federate(t testing.TB, dcs ...string) []*Server {
	t.Helper()
	binary := Binary(t)
	servers := make([]*Server, len(dcs))
	var join []string
	for i, dc := range dcs {
		servers[i] = launch(t, binary, Config{DC: dc, Bind: fmt.Sprintf("127.0.1.%d", i+1), Join: join})
		join = append(join, servers[i].WANAddr())
	}
	for _, s := range servers {
		s.WaitLeader()
	}
	for _, s := range servers {
		s.WaitDatacenters(dcs...)
	}
	return servers
}

func launch(t testing.TB, binary string, cfg Config) *Server {
	t.Helper()
	if cfg.DC == "" {
		cfg.DC = "dc1"
	}
	if cfg.Bind == "" {
		cfg.Bind = "127.0.1.1"
	}
	s := &Server{cfg: cfg, t: t, binary: binary, dir: t.TempDir(), ports: freePorts(t, cfg.Bind)}
	if cfg.ACL {
		s.token = "11111111-2222-3333-4444-555555555555"
	}
	s.writeConfig()
	s.client = s.newClient()
	s.run()
	t.Cleanup(s.end)
	return s
}

func (s *Server) end() {
	s.Kill()
	if s.t.Failed() {
		s.t.Logf("consul %s said:\n%s", s.cfg.DC, s.Log())
	}
}

func (s *Server) writeConfig() {
	s.t.Helper()
	quick := map[string]any{"gossip_interval": "20ms", "probe_interval": "200ms", "probe_timeout": "100ms", "suspicion_mult": 2}
	conf := map[string]any{
		"node_name": "server-" + s.cfg.DC, "datacenter": s.cfg.DC,
		"server": true, "bootstrap_expect": 1, "data_dir": s.dataDir(),
		"bind_addr": s.cfg.Bind, "advertise_addr": s.cfg.Bind, "client_addr": s.cfg.Bind, "ports": s.ports,
		"retry_join_wan": s.cfg.Join, "retry_interval_wan": "500ms",
		"connect": map[string]any{"enabled": false}, "performance": map[string]any{"raft_multiplier": 1},
		"gossip_lan": quick, "gossip_wan": quick,
		"disable_update_check": true, "log_level": "warn",
		"limits": map[string]any{"http_max_conns_per_client": 1000},
	}
	if s.cfg.ACL {
		conf["acl"] = map[string]any{"enabled": true, "default_policy": "deny", "tokens": map[string]any{"initial_management": s.token, "agent": s.token}}
	}
	for key, value := range s.cfg.More {
		conf[key] = value
	}
	data, err := json.Marshal(conf)
	if err == nil {
		err = os.WriteFile(s.path("consul.json"), data, 0o600)
	}
	if err != nil {
		s.t.Fatalf("write configuration of consul %s: %v", s.cfg.DC, err)
	}
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }
func (s *Server) dataDir() string         { return s.path("data") }

// DC is the server's datacenter.
func (s *Server) DC() string { return s.cfg.DC }

// Addr is where it speaks HTTP: "ip:port", also the value of CONSUL_HTTP_ADDR.
func (s *Server) Addr() string { return s.addr(s.ports.HTTP) }

// WANAddr is where others join it.
func (s *Server) WANAddr() string { return s.addr(s.ports.SerfWAN) }

func (s *Server) addr(port int) string { return net.JoinHostPort(s.cfg.Bind, strconv.Itoa(port)) }

// Token may do everything; empty without Config.ACL.
func (s *Server) Token() string { return s.token }

// Client asks this server with Token. It keeps no connections.
func (s *Server) Client() *api.Client { return s.client }

func (s *Server) newClient() *api.Client {
	conf := api.DefaultNonPooledConfig()
	conf.Address, conf.Token = s.Addr(), s.token
	client, err := api.NewClient(conf)
	if err != nil {
		s.t.Fatalf("make client of consul %s: %v", s.cfg.DC, err)
	}
	return client
}

// Log is what the server printed since the test began.
func (s *Server) Log() string {
	data, err := os.ReadFile(s.path("log"))
	if err != nil {
		return err.Error()
	}
	return string(data)
}
