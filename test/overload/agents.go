package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"text/template"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/test/child"
)

// agentTemplate is an agent as in production, except that its instances and
// fellows are named in its file.
var agentTemplate = template.Must(template.New("agent").Parse(`
name     = "{{.Region}}-1"
region   = "{{.Region}}"
group    = "lab"
data_dir = "data"

log {
  level = "warn"
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
    socket = "admin.sock"
  }
}

tls {
  mesh {
    cert = "mesh.pem"
    key  = "mesh.key"
    ca   = "../ca.pem"
  }
  edge {
    cert      = "../edge.pem"
    key       = "../edge.key"
    client_ca = "../ca.pem"
  }
}

gossip {
  keys           = ["{{.GossipKey}}"]
  retry_join_wan = [{{range .Join}}"{{.}}", {{end}}]
}

catalog {
  static {
    service "ingest" {
      instance {
        address = "{{.Upstream}}"
      }
    }
  }
}

policy {
  file = "policy.hcl"
}
`))

// policyText has a route for each class; %s is what a service has beside.
const policyText = `service "ingest" {
  timeout = "5s"
%s}

route "critical" {
  match {
    path = "/critical"
  }
  class = "critical"
  forward {
    service = "ingest"
  }
}

route "high" {
  match {
    path = "/high"
  }
  class = "high"
  forward {
    service = "ingest"
  }
}

route "normal" {
  match {
    path = "/normal"
  }
  class = "normal"
  forward {
    service = "ingest"
  }
}

route "bulk" {
  match {
    path = "/bulk"
  }
  class = "bulk"
  forward {
    service = "ingest"
  }
}
`

// tenantQuota is the most that a tenant may take of the service.
const tenantQuota = `  quota {
    by    = "tenant"
    share = "50%"
  }
`

// agent is one tidegate process in a region of its own.
type agent struct {
	*child.Process
	Region               string
	Edge, Mesh, LAN, WAN string
	Join                 []string
	GossipKey, Upstream  string

	dir   string
	admin *http.Client
}

// startAgents starts an agent for each service, each in its own region, and
// waits until they know each other.
func (l *lab) startAgents(ctx context.Context, serviceMore string, services ...*upstream) ([]*agent, error) {
	var agents []*agent
	for i, u := range services {
		a := &agent{Region: fmt.Sprintf("r%d", i+1), GossipKey: l.gossipKey, Upstream: u.addr}
		for _, addr := range []*string{&a.Edge, &a.Mesh, &a.LAN, &a.WAN} {
			var err error
			if *addr, err = l.freePort(); err != nil {
				return nil, err
			}
		}
		agents = append(agents, a)
	}
	for _, a := range agents {
		for _, other := range agents {
			if other != a {
				a.Join = append(a.Join, other.WAN)
			}
		}
		if err := l.startAgent(ctx, a, serviceMore); err != nil {
			return nil, err
		}
	}
	for _, a := range agents {
		if err := a.await(ctx, len(agents)); err != nil {
			return nil, err
		}
	}
	return agents, nil
}

func (l *lab) startAgent(ctx context.Context, a *agent, serviceMore string) (err error) {
	if a.dir, err = os.MkdirTemp(l.dir, a.Region+"-"); err != nil {
		return err
	}
	mesh, err := l.authority.IssueMesh(a.Region, a.Region+"-1", validity)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := agentTemplate.Execute(&text, a); err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"mesh.pem": mesh.CertPEM, "mesh.key": mesh.KeyPEM, "agent.hcl": text.Bytes(),
		"policy.hcl": fmt.Appendf(nil, policyText, serviceMore),
	} {
		if err := os.WriteFile(filepath.Join(a.dir, name), content, 0o600); err != nil {
			return err
		}
	}
	a.admin = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(a.dir, "admin.sock"))
		},
	}}
	a.Process, err = l.start("agent-"+a.Region, exec.CommandContext(ctx, l.program, "agent", "--config", filepath.Join(a.dir, "agent.hcl")))
	return err
}

// await waits until the agent may be given traffic and hears all regions.
func (a *agent) await(ctx context.Context, regions int) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		missing := a.missing(regions)
		if missing == nil {
			return nil
		}
		select {
		case <-a.Done():
			return fmt.Errorf("agent %s ended: %s", a.Region, a.Tail())
		case <-ctx.Done():
			return fmt.Errorf("agent %s is not ready: %w: %s", a.Region, missing, a.Tail())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (a *agent) missing(regions int) error {
	if err := a.ask(admin.PathReady, nil); err != nil {
		return err
	}
	var ans admin.ServicesAnswer
	if err := a.ask(admin.PathServices, &ans); err != nil {
		return err
	}
	i := slices.IndexFunc(ans.Services, func(s admin.Service) bool { return s.Name == "ingest" })
	if i < 0 || ans.Services[i].Ready == 0 {
		return errors.New("the service is not ready")
	}
	heard := 1
	for _, r := range ans.Services[i].Regions {
		if r.Ready > 0 {
			heard++
		}
	}
	if heard < regions {
		return fmt.Errorf("the service is ready in %d of %d regions", heard, regions)
	}
	return nil
}

// ask gets a path of the control API.
func (a *agent) ask(path string, into any) error {
	rsp, err := a.admin.Get("http://localhost" + path)
	if err != nil {
		return err
	}
	defer rsp.Body.Close()
	body, err := io.ReadAll(rsp.Body)
	switch {
	case err != nil:
		return err
	case rsp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s: %.200s", path, rsp.Status, body)
	case into == nil:
		return nil
	}
	return json.Unmarshal(body, into)
}

// admission is how the agent admits to its own region's instances.
func (a *agent) admission() (admin.Admission, error) {
	var ans admin.ServicesAnswer
	if err := a.ask(admin.PathServices+"?name=ingest", &ans); err != nil {
		return admin.Admission{}, err
	}
	for _, s := range ans.Services {
		if s.Name == "ingest" && s.Admission != nil {
			return *s.Admission, nil
		}
	}
	return admin.Admission{}, errors.New("the agent shows no admission of the service")
}

// profile writes a CPU profile of the agent into a file.
func (a *agent) profile(ctx context.Context, file string, seconds int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds+10)*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://localhost%sprofile?seconds=%d", admin.PathProfiles, seconds), nil)
	if err != nil {
		return err
	}
	rsp, err := a.admin.Transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer rsp.Body.Close()
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, rsp.Body)
	return errors.Join(err, f.Close())
}

// freePort gives an address whose number is free on UDP and TCP and lies below
// those that systems give to outgoing connections.
func (l *lab) freePort() (string, error) {
	for range 200 {
		l.port = (l.port + 1) % 10000
		addr := fmt.Sprintf("127.0.0.1:%d", 10000+l.port)
		tcp, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		udp, err := net.ListenPacket("udp", addr)
		tcp.Close()
		if err == nil {
			return addr, udp.Close()
		}
	}
	return "", errors.New("no port is free on both UDP and TCP")
}
