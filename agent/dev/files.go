package dev

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"github.com/tidegate/tidegate/transport"
)

const (
	trustDomain = "dev.tidegate"
	validity    = 7 * 24 * time.Hour
)

func (m *Mesh) makeSecrets() (err error) {
	if m.authority, err = transport.NewAuthority("tidegate dev", trustDomain, validity); err != nil {
		return err
	}
	var key [32]byte
	var token [16]byte
	_, _ = rand.Read(key[:]) // never fails (crypto/rand)
	_, _ = rand.Read(token[:])
	m.key, m.token = base64.StdEncoding.EncodeToString(key[:]), hex.EncodeToString(token[:])
	m.deviceToken = cmp.Or(m.cfg.Token, rand.Text())
	if err := os.WriteFile(m.CAFile(), m.authority.CertPEM(), 0o644); err != nil {
		return fmt.Errorf("dev mesh: %w", err)
	}
	nobody, err := m.authority.Revoke(nil, validity)
	if err != nil {
		return err
	}
	if err := os.WriteFile(m.CRLFile(), nobody, 0o644); err != nil {
		return fmt.Errorf("dev mesh: %w", err)
	}
	return os.WriteFile(m.PolicyFile(), m.cfg.Policy, 0o644)
}

// CRLFile is the revocation list of all agents, who read it when it changes.
func (m *Mesh) CRLFile() string { return filepath.Join(m.Dir, "revoked.crl") }

// CAFile is the certificate to trust, PEM.
func (m *Mesh) CAFile() string { return filepath.Join(m.Dir, "ca.pem") }

// PolicyFile is the policy all agents follow; edit it while they run.
func (m *Mesh) PolicyFile() string { return filepath.Join(m.Dir, "policy.hcl") }

// Token opens the control API of every agent.
func (m *Mesh) Token() string { return m.token }

// DeviceToken makes any client a device at every edge, of the user name beside it.
func (m *Mesh) DeviceToken() string { return m.deviceToken }

// Authority issues certificates that the mesh's edges accept.
func (m *Mesh) Authority() *transport.Authority { return m.authority }

// ports of one agent.
type ports struct{ edge, mesh, lan, wan, admin, egress int }

// Ports are taken from below the range that systems give to outgoing
// connections, so that none of those grabs one before the agent binds it.
const lowestPort, highestPort = 20000, 32000

// freePorts finds numbers that are free on UDP and TCP and not given to
// another agent of this mesh.
func (m *Mesh) freePorts() (p ports, err error) {
	for _, port := range []*int{&p.edge, &p.mesh, &p.lan, &p.wan, &p.admin, &p.egress} {
		if *port, err = m.freePort(); err != nil {
			return p, fmt.Errorf("dev mesh: find a free port on %s: %w", m.cfg.Bind, err)
		}
	}
	return p, nil
}

func (m *Mesh) freePort() (port int, err error) {
	for range 50 {
		port = lowestPort + mathrand.IntN(highestPort-lowestPort)
		if m.taken[port] {
			continue
		}
		if err = tryPort(m.addr(port)); err == nil {
			m.taken[port] = true
			return port, nil
		}
	}
	return 0, err
}

func tryPort(addr string) error {
	udp, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	defer udp.Close()
	tcp, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return tcp.Close()
}

var agentTemplate = template.Must(template.New("agent").Parse(`
name     = "{{.Agent}}"
region   = "{{.Region}}"
group    = "{{.Group}}"
data_dir = "data"
drain_timeout = "5s"

log {
  access {
    sample = 0
  }
}

listeners {
  edge {
    addr = "{{.Edge}}"
  }
  mesh {
    addr = "{{.Mesh}}"
  }
  lan {
    addr = "{{.LAN}}"
  }
  wan {
    addr = "{{.WAN}}"
  }
  admin {
    addr  = "{{.Admin}}"
    token = "{{.Token}}"
    hosts = ["{{.Bind}}"]
  }
  egress {
    addr  = "{{.Egress}}"
    token = "{{.Token}}"
  }
}

tls {
  mesh {
    cert = "mesh.pem"
    key  = "mesh.key"
    ca   = "../ca.pem"
  }
  edge {
    cert        = "edge.pem"
    key         = "edge.key"
    client_ca   = "../ca.pem"
    crl         = "../revoked.crl"
    client_auth = "optional"
  }
}

identity {
  dev_token = "{{.DeviceToken}}"
}

gossip {
  keys           = ["{{.Key}}"]
  timing         = "fast"
  retry_join     = [{{range .JoinLAN}}"{{.}}", {{end}}]
  retry_join_wan = [{{range .JoinWAN}}"{{.}}", {{end}}]
}

policy {
  file = "../policy.hcl"
}

catalog {
  static {
{{- range $service, $instances := .Services}}
    service "{{$service}}" {
{{- range $instances}}
      instance {
        id      = "{{.ID}}"
        address = "{{.Addr}}"
        tags    = ["{{.Tag}}"]
      }
{{- end}}
      check {
        path      = "/health"
        interval  = "1s"
        healthy   = 1
        unhealthy = 2
      }
    }
{{- end}}
  }
}
`))

type agentFile struct {
	Agent, Region, Group, Bind, Key     string
	Token, DeviceToken                  string
	Edge, Mesh, LAN, WAN, Admin, Egress string // addresses
	JoinLAN, JoinWAN                    []string
	Services                            map[string][]instanceFile
}

type instanceFile struct{ ID, Addr, Tag string }

// writeAgent writes what an agent's operator would: certificates, keys and a
// configuration.
func (m *Mesh) writeAgent(r *Region, a *Agent) (configPath string, err error) {
	if err := os.MkdirAll(a.Dir, 0o700); err != nil {
		return "", fmt.Errorf("dev mesh: %w", err)
	}
	mesh, err := m.authority.IssueMesh(r.Name, a.Name, validity)
	if err != nil {
		return "", err
	}
	edge, err := m.authority.IssueEdge([]string{"localhost", m.cfg.Bind}, validity)
	if err != nil {
		return "", err
	}
	var text bytes.Buffer
	if err := agentTemplate.Execute(&text, m.agentFile(r, a)); err != nil {
		return "", err
	}
	files := map[string][]byte{
		"mesh.pem": mesh.CertPEM, "mesh.key": mesh.KeyPEM,
		"edge.pem": edge.CertPEM, "edge.key": edge.KeyPEM,
		"agent.hcl": text.Bytes(),
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(a.Dir, name), content, 0o600); err != nil {
			return "", fmt.Errorf("dev mesh: %w", err)
		}
	}
	return filepath.Join(a.Dir, "agent.hcl"), nil
}

func (m *Mesh) agentFile(r *Region, a *Agent) agentFile {
	f := agentFile{Agent: a.Name, Region: r.Name, Group: r.Group, Bind: m.cfg.Bind, Token: m.token, DeviceToken: m.deviceToken, Key: m.key,
		Services: map[string][]instanceFile{}}
	f.Edge, f.Mesh, f.LAN = m.addr(a.ports.edge), m.addr(a.ports.mesh), m.addr(a.ports.lan)
	f.WAN, f.Admin, f.Egress = m.addr(a.ports.wan), m.addr(a.ports.admin), m.addr(a.ports.egress)
	for _, other := range m.Regions {
		for _, peer := range other.Agents {
			if other == r && peer != a {
				f.JoinLAN = append(f.JoinLAN, m.addr(peer.ports.lan))
			}
			if other != r {
				f.JoinWAN = append(f.JoinWAN, m.addr(peer.ports.wan))
			}
		}
	}
	for _, i := range r.Instances {
		f.Services[i.Service] = append(f.Services[i.Service], instanceFile{ID: i.Name, Addr: i.Addr(), Tag: i.Tag})
	}
	return f
}

func (m *Mesh) addr(port int) string { return m.addrPort(port).String() }

func (m *Mesh) addrPort(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(m.cfg.Bind), uint16(port))
}
