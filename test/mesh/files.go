package mesh

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"text/template"
	"time"

	"github.com/tidegate/tidegate/transport"
)

const validity = 24 * time.Hour

// agentTemplate joins nobody by address: agents find each other in Consul.
var agentTemplate = template.Must(template.New("agent").Parse(`
name     = "{{.Name}}"
region   = "{{.Region.Name}}"
group    = "{{.Region.Group}}"
data_dir = "data"
drain_timeout = "10s"

log {
  access {
    sample = 0
  }
}

listeners {
  edge {
    addr = "{{.IP}}:{{.Ports.Edge}}"
  }
  mesh {
    addr = "{{.IP}}:{{.Ports.Mesh}}"
  }
  lan {
    addr = "{{.IP}}:{{.Ports.LAN}}"
  }
  wan {
    addr = "{{.IP}}:{{.Ports.WAN}}"
  }
{{- if .Sockets}}
  admin {
    socket = "admin.sock"
  }
  egress {
    socket = "egress.sock"
  }
{{- else}}
  admin {
    addr  = "{{.IP}}:{{.Ports.Admin}}"
    token = file("token")
  }
  ready {
    addr = "{{.IP}}:{{.Ports.Ready}}"
  }
  egress {
    addr  = "{{.IP}}:{{.Ports.Egress}}"
    token = file("token")
  }
{{- end}}
}

tls {
  mesh {
    cert = "mesh.pem"
    key  = "mesh.key"
    ca   = "ca.pem"
  }
  edge {
    cert        = "edge.pem"
    key         = "edge.key"
    client_ca   = "ca.pem"
    client_auth = "optional"
  }
}

gossip {
  keys   = [file("gossip.key")]
  timing = "fast"
}

catalog {
  consul {
    address = "{{.Region.Consul.Addr}}"
    check   = "{{if .Sockets}}ttl{{else}}http{{end}}"
    ttl     = "3s"
{{- if .ConsulToken}}
    token     = env("AGENT_CONSUL_TOKEN")
    wait_time = "2s" # a change of rights ends no query
{{- end}}
  }
}

policy {
  consul_kv = "{{.PolicyKey}}"
}
{{- with .FaultAddr}}

fault {
  enabled = true
  addr    = "{{.}}"
  token   = file("operator")
}
{{- end}}
`))

// PolicyKey is where the policy lies in every datacenter.
func (a *Agent) PolicyKey() string { return policyKey }

// FaultAddr is where the agent hears of faults; empty: it takes none.
func (a *Agent) FaultAddr() string {
	if a.Region.mesh.operator == "" {
		return ""
	}
	return join(a.IP, a.Region.mesh.faultPort)
}

// SetOperator gives the agent another operator's token, which counts from its next
// start.
func (a *Agent) SetOperator(t testing.TB, token string) {
	t.Helper()
	a.writeFile(t, "operator", []byte(token))
}

// Operator is the token that faults need.
func (m *Mesh) Operator() string { return m.operator }

// write makes the agent's folder as an operator would: certificates, secrets
// and a configuration.
func (a *Agent) write(t testing.TB) {
	t.Helper()
	m := a.Region.mesh
	mesh, err := m.authority.IssueMesh(a.Region.Name, a.Name, validity)
	if err != nil {
		t.Fatal(err)
	}
	edge, err := m.authority.IssueEdge([]string{"localhost", a.IP}, validity)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := agentTemplate.Execute(&text, a); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"mesh.pem": mesh.CertPEM, "mesh.key": mesh.KeyPEM,
		"edge.pem": edge.CertPEM, "edge.key": edge.KeyPEM,
		"ca.pem": m.authority.CertPEM(), "token": []byte(m.token), "gossip.key": []byte(m.gossipKey), "operator": []byte(m.operator),
		"agent.hcl": text.Bytes(),
	} {
		a.writeFile(t, name, content)
	}
}

func (a *Agent) writeFile(t testing.TB, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// CAFile is the certificate that devices trust, PEM.
func (a *Agent) CAFile() string { return filepath.Join(a.dir, "ca.pem") }

// Authority issues certificates that the mesh's edges accept.
func (m *Mesh) Authority() *transport.Authority { return m.authority }
