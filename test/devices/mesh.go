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
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidegate/tidegate/agent/dev"
	"github.com/tidegate/tidegate/policy"
)

// meshPolicy turns the adaptive limit of what is flooded off: messages that are sent
// again as soon as they are acknowledged are overload, and refusals would flatter.
const meshPolicy = `
service "ledger" {
  limit {
    adaptive = false
  }
}
service "inbox" {
  limit {
    adaptive = false
  }
}
service "alarms" {}

route "ledger" {
  match {
    path = "/ledger/single/{rest...}"
  }
  forward {
    service = "ledger"
  }
}
route "ledger_batched" {
  match {
    path = "/ledger/batched/{rest...}"
  }
  forward {
    service = "ledger"
  }
  rewrite {
    path = "/events"
  }
  batch {}
}
route "inbox" {
  match {
    path = "/inbox/single/{rest...}"
  }
  forward {
    service = "inbox"
  }
}
route "inbox_batched" {
  match {
    path = "/inbox/batched/{rest...}"
  }
  forward {
    service = "inbox"
  }
  rewrite {
    path = "/events"
  }
  batch {}
}
route "alarms" {
  match {
    path = "/alarms"
  }
  class = "critical"
  forward {
    service = "alarms"
  }
}
route "hello" {
  match {
    path = "/hello"
  }
  forward {
    service = "alarms"
  }
}
`

// inbox is a service that reads what it gets and says so. With a file it is a ledger:
// each request is one commit, appended and synced before the answer, one at a time.
type inbox struct {
	events atomic.Int64

	commit sync.Mutex
	file   *os.File
}

func (b *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	n := 1
	if err == nil && r.Header.Get("Content-Type") == "application/cloudevents-batch+json" {
		var events []json.RawMessage
		err = json.Unmarshal(body, &events)
		n = len(events)
	}
	if err == nil && b.file != nil {
		err = b.append(body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	b.events.Add(int64(n))
	w.WriteHeader(http.StatusNoContent)
}

func (b *inbox) append(entry []byte) error {
	b.commit.Lock()
	defer b.commit.Unlock()
	if _, err := b.file.Write(entry); err != nil {
		return err
	}
	return b.file.Sync()
}

// meshAt is what the process of a mesh prints.
type meshAt struct {
	Control string
	Edges   [2]string // of the first region: the agent that dies, and its fellow
}

// livingMesh is two regions of two agents each, in the role of a process.
type livingMesh struct {
	*dev.Mesh
	ledger, inbox inbox
	evictions     atomic.Int64 // of regions, all of which live
}

func runMesh() error {
	dir := os.Getenv(envDir)
	file, err := os.Create(filepath.Join(dir, "ledger"))
	if err != nil {
		return err
	}
	m := &livingMesh{ledger: inbox{file: file}}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	m.Mesh, err = dev.Start(ctx, dev.Config{Regions: 2, Agents: 2, Policy: []byte(meshPolicy), Services: []dev.Service{
		{Name: "ledger", Regions: []string{"eu-1"}, Instances: 1, Handler: &m.ledger}, {Name: "inbox", Instances: 1, Handler: &m.inbox}, {Name: "alarms", Handler: &inbox{}},
	}})
	if err != nil {
		return err
	}
	defer m.Close()
	if err := m.writeIdentity(dir); err != nil {
		return err
	}
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go m.watch()
	agents := m.Regions[0].Agents
	if err := json.NewEncoder(os.Stdout).Encode(meshAt{control.Addr().String(), [2]string{agents[0].EdgeAddr(), agents[1].EdgeAddr()}}); err != nil {
		return err
	}
	return http.Serve(control, m.control())
}

// writeIdentity leaves a device's certificate where the devices find it.
func (m *livingMesh) writeIdentity(dir string) error {
	device, err := m.Authority().IssueDevice("d-17", map[string]string{"tenant": "a"}, time.Hour)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, fileMeshCA), m.Authority().CertPEM(), 0o600),
		os.WriteFile(filepath.Join(dir, fileDevice), append(bytes.Clone(device.CertPEM), device.KeyPEM...), 0o600))
}

// control takes what the experiments ask for.
func (m *livingMesh) control() http.Handler {
	mux := http.NewServeMux()
	tell := func(path string, value func() (any, error)) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			v, err := value()
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			fmt.Fprint(w, v)
		})
	}
	tell("/ledger", func() (any, error) { return m.ledger.events.Load(), nil })
	tell("/inbox", func() (any, error) { return m.inbox.events.Load(), nil })
	tell("/evictions", func() (any, error) { return m.evictions.Load(), nil })
	tell("/crash", func() (any, error) { return "", m.Crash(m.Regions[0].Agents[0].Name) })
	tell("/metrics", m.edgeMetrics)
	return mux
}

// watch counts how often a living agent holds a region for dead. A verdict stands for
// seconds.
func (m *livingMesh) watch() {
	down := map[string]bool{}
	for range time.Tick(50 * time.Millisecond) {
		for i, r := range m.Regions {
			for k, a := range r.Agents {
				if i == 0 && k == 0 { // it is to die
					continue
				}
				for _, seen := range a.Regions().Regions {
					key := a.Name + " " + seen.Name
					if is := seen.State == policy.RegionDown.String(); is != down[key] {
						if down[key] = is; is {
							m.evictions.Add(1)
						}
					}
				}
			}
		}
	}
}

// edgeMetrics are those of the edge that the storm comes to.
func (m *livingMesh) edgeMetrics() (any, error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+m.Regions[0].Agents[1].AdminAddr()+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+m.Token())
	rsp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer rsp.Body.Close()
	text, err := io.ReadAll(rsp.Body)
	var edge []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		counts := strings.HasPrefix(line, "tidegate_edge_handshakes_total") || strings.HasPrefix(line, "tidegate_edge_refused_total")
		if counts && !strings.HasSuffix(line, " 0") {
			edge = append(edge, strings.TrimPrefix(line, "tidegate_edge_"))
		}
	}
	return strings.Join(edge, ", "), err
}
