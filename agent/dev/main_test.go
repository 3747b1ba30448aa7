package dev

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// A probe of memberlist may outlive its Shutdown by a timeout.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"))
}

func start(t *testing.T, cfg Config) *Mesh {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	m, err := Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// svcPolicy routes every PUT to svc, which any region may serve.
const svcPolicy = `
service "svc" {
  timeout      = "2s"
  beyond_group = true
}
route "svc" {
  match {
    methods = ["PUT"]
    path    = "/svc"
  }
  forward {
    service = "svc"
  }
}
`

// device sends from the edge of a region's agent.
type device struct {
	h3  *http3.Transport
	url string
}

func deviceAt(t *testing.T, m *Mesh, a *Agent) *device {
	t.Helper()
	cert, err := m.Identity(1)
	if err != nil {
		t.Fatal(err)
	}
	trust := m.TLS()
	trust.Certificates = []tls.Certificate{cert}
	d := &device{h3: &http3.Transport{TLSClientConfig: trust}, url: "https://" + a.EdgeAddr() + "/svc"}
	t.Cleanup(func() { _ = d.h3.Close() })
	return d
}

// put returns the region that served, or what went wrong.
func (d *device) put(ctx context.Context) (region string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, d.url, strings.NewReader("x"))
	if err != nil {
		return "", err
	}
	resp, err := d.h3.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, body)
	}
	region, _, _ = strings.Cut(resp.Header.Get("X-Served-By"), "/")
	return region, err
}

// servedBy polls until a region serves, or fails the test.
func (d *device) servedBy(t *testing.T, want string) {
	t.Helper()
	last := ""
	eventually(t, "served by "+want, func() bool {
		region, err := d.put(t.Context())
		last = fmt.Sprint(region, " ", err)
		return err == nil && region == want
	}, &last)
}

func eventually(t *testing.T, what string, ok func() bool, last *string) {
	t.Helper()
	deadline := time.After(45 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within 45 s: %s; last: %s", what, *last)
		case <-tick.C:
		}
	}
}
