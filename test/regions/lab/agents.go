//go:build linux

package lab

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/test/child"
)

type agent struct {
	IP netip.Addr

	name   string
	region *region
	dir    string
	run    []string // what "agent --config FILE" is put behind; none: the mesh's tidegate
	faults bool     // it takes some
	proc   *child.Process
}

// agentTemplate leaves what it can to the defaults; deploy/config/agent.hcl has
// every key. Agents find each other in Consul.
var agentTemplate = template.Must(template.New("agent").Parse(`
name          = "{{.Name}}"
region        = "{{.Region}}"
group         = "{{.Group}}"
data_dir      = "data"
drain_timeout = "5s"

log {
  format = "json"
  access {
    sample = 0
  }
}

listeners {
  edge {
    addr = "{{.IP}}:7443"
  }
  mesh {
    addr = "{{.IP}}:7444"
  }
  lan {
    addr = "{{.IP}}:7946"
  }
  wan {
    addr = "{{.IP}}:7947"
  }
  admin {
    socket = "admin.sock"
  }
}

tls {
  mesh {
    cert = "mesh.pem"
    key  = "mesh.key"
    ca   = "../../ca.pem"
  }
  edge {
    cert      = "edge.pem"
    key       = "edge.key"
    client_ca = "../../ca.pem"
  }
}

gossip {
  keys = [file("../../gossip.key")]
}

catalog {
  consul {
    address = "{{.Consul}}:8500"
  }
}

policy {
  consul_kv = "tidegate/policy"
}
{{if .Faults}}
fault {
  enabled = true
  addr    = "{{.IP}}:7445"
  token   = "{{.Token}}"
}
{{end}}`))

//go:embed policy.hcl
var samplePolicy []byte

func (r *region) startAgents(ctx context.Context) error {
	for _, a := range r.agents {
		if err := a.start(); err != nil {
			return err
		}
	}
	return await(ctx, 30*time.Second, func() error {
		for _, a := range r.agents {
			if err := a.get(ctx, admin.PathHealth, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a *agent) start() error {
	var text bytes.Buffer
	err := agentTemplate.Execute(&text, map[string]any{
		"Name": a.name, "Region": a.region.name, "Group": a.region.group, "IP": a.IP, "Consul": a.region.consulAddr(),
		"Faults": a.faults, "Token": operatorToken,
	})
	if err != nil {
		return err
	}
	file := filepath.Join(a.dir, "agent.hcl")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		return err
	}
	run := a.run
	if len(run) == 0 {
		run = []string{a.region.mesh.tidegate}
	}
	cmd := exec.Command(run[0], append(run[1:len(run):len(run)], "agent", "--config", file)...)
	cmd.Env = bareEnv()
	a.proc, err = a.region.net.Start(cmd, a.log())
	return err
}

func (a *agent) log() string { return a.region.mesh.log(a.name) }

func (a *agent) edge() string { return netip.AddrPortFrom(a.IP, 7443).String() }

// adminAddr is for --admin of tidegate: a socket is reached from everywhere on
// the machine.
func (a *agent) adminAddr() string { return "unix://" + filepath.Join(a.dir, "admin.sock") }

// get asks the control API.
func (a *agent) get(ctx context.Context, path string, into any) error {
	body, err := a.read(ctx, path)
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// read asks the control API for something that may not be JSON.
func (a *agent) read(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := socketClient(filepath.Join(a.dir, "admin.sock")).Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask agent %s: %w", a.name, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask agent %s: %w", a.name, err)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("ask agent %s: %s: %s", a.name, resp.Status, body)
	}
	return body, nil
}

// applyPolicy writes the policy into every datacenter, as an operator does.
func (m *mesh) applyPolicy(ctx context.Context) error {
	file := filepath.Join(m.dir, "policy.hcl")
	if err := os.WriteFile(file, samplePolicy, 0o600); err != nil {
		return err
	}
	first := m.regions[0].agents[0]
	return await(ctx, 30*time.Second, func() error {
		return m.command(ctx, "policy", "apply", "--admin", first.adminAddr(), file)
	})
}
