package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"

	"github.com/tidegate/tidegate/test/child"
)

// agentConfig is an agent as in production, alone in its region, except that
// its instances are named by file and nothing is advertised.
const agentConfig = `name     = "bench-1"
region   = "bench"
data_dir = %[1]q

log {
  level = "warn"
}

listeners {
  edge {
    addr = %[2]q
  }
  mesh {
    addr = %[3]q
  }
  lan {
    addr = %[4]q
  }
  wan {
    addr = %[5]q
  }
  admin {
    socket = %[6]q
  }
}

tls {
  mesh {
    cert = "mesh.pem"
    key  = "mesh.key"
    ca   = "ca.pem"
  }
  edge {
    cert      = "edge.pem"
    key       = "edge.key"
    client_ca = "ca.pem"
  }
}

gossip {
  keys = [%[7]q]
}

catalog {
  static {
    service "telemetry" {
      instance {
        address = %[8]q
      }
    }
  }
}

policy {
  file = "policy.hcl"
}
`

// agentPolicy gives the request measured a route among others, and a condition
// to weigh.
// agentPolicy turns the adaptive limit off: 256 requests at a time, sent again as
// soon as they are answered, to one instance on the same two cores are overload,
// and refusals would flatter the agent.
const agentPolicy = `service "telemetry" {
  timeout = "5s"
  limit {
    adaptive = false
  }
}

route "alarms" {
  match {
    methods = ["POST"]
    path    = "/v1/devices/{id}/alarms"
  }
  class = "critical"
  forward {
    service = "telemetry"
  }
}

route "tenant-telemetry" {
  match {
    methods = ["POST", "PUBLISH"]
    path    = "/v1/devices/{id}/telemetry"
    when    = "device.tenant == 'a'"
  }
  forward {
    service = "telemetry"
  }
}

route "telemetry" {
  match {
    path = "/v1/devices/{id}/telemetry"
  }
  class = "bulk"
  forward {
    service = "telemetry"
  }
}

route "rest" {
  match {
    path = "/v1/{rest...}"
  }
  forward {
    service = "telemetry"
  }
}
`

func (b *bench) addAgent(ctx context.Context, opt options) error {
	program, err := b.agentProgram(ctx, opt)
	if err != nil {
		return err
	}
	edge, err := b.writeAgentFiles()
	if err != nil {
		return err
	}
	proc, err := child.Start(exec.CommandContext(ctx, program, "agent", "--config", b.path("agent.hcl")), b.path(nameAgent+".log"))
	if err != nil {
		return err
	}
	b.procs = append(b.procs, proc)
	return b.add(ctx, &target{name: nameAgent, addr: edge, proc: proc})
}

func (b *bench) agentProgram(ctx context.Context, opt options) (string, error) {
	if opt.tidegate != "" {
		return opt.tidegate, nil
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", b.path("tidegate"), ".")
	cmd.Dir, cmd.Stderr = b.root, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build tidegate: %w", err)
	}
	return b.path("tidegate"), nil
}

// writeAgentFiles gives the address of the edge listener.
func (b *bench) writeAgentFiles() (edge string, err error) {
	var addrs [4]string
	for i := range addrs {
		if addrs[i], err = freePort(); err != nil {
			return "", err
		}
	}
	key := make([]byte, 32)
	rand.Read(key)
	config := fmt.Sprintf(agentConfig, b.path("data"), addrs[0], addrs[1], addrs[2], addrs[3],
		b.path("admin.sock"), base64.StdEncoding.EncodeToString(key), b.backend)
	if err := os.Mkdir(b.path("data"), 0o700); err != nil {
		return "", err
	}
	if err := os.WriteFile(b.path("agent.hcl"), []byte(config), 0o600); err != nil {
		return "", err
	}
	return addrs[0], os.WriteFile(b.path("policy.hcl"), []byte(agentPolicy), 0o600)
}
