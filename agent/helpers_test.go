package agent_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/tidegate/tidegate/agent/dev"
)

// oneService is a policy with the service "svc" behind /svc and /keyed, the
// latter idempotent by the route's word.
const oneService = `
service "svc" {
  timeout      = "5s"
  beyond_group = true
}
route "keyed" {
  match {
    path = "/keyed"
  }
  forward {
    service = "svc"
  }
  retry {
    attempts   = 3
    idempotent = true
  }
}
route "svc" {
  match {
    path = "/svc"
  }
  class = "high"
  forward {
    service = "svc"
  }
  retry {
    attempts = 3
  }
}
`

// startMesh brings up a mesh whose service "svc" lives in the given regions
// (empty: everywhere) and is answered by h (nil: the sample).
func startMesh(t *testing.T, cfg dev.Config, h http.Handler, regions ...string) *dev.Mesh {
	t.Helper()
	cfg.Services = append(cfg.Services, dev.Service{Name: "svc", Regions: regions, Handler: h})
	if cfg.Policy == nil {
		cfg.Policy = []byte(oneService)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
	defer cancel()
	m, err := dev.Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// client is a device at the edge of a region's first agent.
type client struct {
	t    *testing.T
	base string
	h3   *http3.Transport
}

func deviceAt(t *testing.T, m *dev.Mesh, region string) *client {
	t.Helper()
	r, err := m.Region(region)
	if err != nil {
		t.Fatal(err)
	}
	return deviceAtAgent(t, m, r.Agents[0])
}

func deviceAtAgent(t *testing.T, m *dev.Mesh, a *dev.Agent) *client {
	t.Helper()
	cert, err := m.Identity(7)
	if err != nil {
		t.Fatal(err)
	}
	conf := m.TLS()
	conf.Certificates = []tls.Certificate{cert}
	c := &client{t: t, base: "https://" + a.EdgeAddr(), h3: &http3.Transport{TLSClientConfig: conf, DisableCompression: true}}
	t.Cleanup(func() { _ = c.h3.Close() })
	return c
}

func (c *client) request(method, path string, body io.Reader) *http.Request {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	return req
}

// do sends a request and reads the whole answer.
func (c *client) do(req *http.Request) (*http.Response, string) {
	c.t.Helper()
	resp, err := c.h3.RoundTrip(req)
	if err != nil {
		c.t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("%s %s: read body: %v", req.Method, req.URL.Path, err)
	}
	return resp, string(body)
}

func (c *client) send(method, path string, body []byte) (*http.Response, string) {
	c.t.Helper()
	return c.do(c.request(method, path, bytes.NewReader(body)))
}

// eventually polls until ok says true, or fails the test.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(15 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within 15 s: %s", what)
		case <-tick.C:
		}
	}
}
