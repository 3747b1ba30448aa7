package agent_test

import (
	"bytes"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/dev"
)

// Tunnels to a region that is cut off fall silent one after the other, some
// before the verdict on the region: with two attempts, the default, none of
// what is under way may be lost to that.
func TestRegionThatFallsSilentCostsNoIdempotentRequest(t *testing.T) {
	policy := []byte(`
service "svc" {
  timeout      = "10s"
  beyond_group = true
}
route "svc" {
  match {
    path = "/svc"
  }
  forward {
    service = "svc"
  }
}
`)
	m := startMesh(t, dev.Config{Regions: 3, Agents: 4, Policy: policy}, nil, "eu-2", "us-1")
	device := deviceAtAgent(t, m, m.Regions[0].Agents[notGateway(t, m.Regions[0])])
	resp, _ := device.send("PUT", "/svc", []byte("x"))
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("before the cut: status %d", resp.StatusCode)
	}
	if err := m.Cut("eu-2"); err != nil {
		t.Fatal(err)
	}
	expectAllServed(t, device)
}

// What was under way to an agent that dies goes to another agent of its region,
// however much it was: a death is no overload, so no retry budget applies.
func TestAgentThatDiesCostsNoIdempotentRequest(t *testing.T) {
	const underWay = 16 // half of it with the agent that dies: more than retries may be
	serve := make(chan struct{})
	var arrived atomic.Int32
	waits := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived.Add(1)
		select {
		case <-serve:
		case <-r.Context().Done():
		}
	})
	m := startMesh(t, dev.Config{Regions: 2, Agents: 2, Capacity: 2 * underWay}, waits, "eu-2")
	device := deviceAt(t, m, "eu-1")
	var all sync.WaitGroup
	for range underWay {
		all.Go(func() { expectServed(t, device) })
	}
	eventually(t, "all are under way", func() bool { return arrived.Load() == underWay })
	if err := m.Crash(m.Regions[1].Agents[0].Name); err != nil {
		t.Fatal(err)
	}
	close(serve)
	all.Wait()
}

// expectAllServed sends a hundred PUTs a second for one and a half.
func expectAllServed(t *testing.T, device *client) {
	t.Helper()
	var all sync.WaitGroup
	due := time.NewTicker(10 * time.Millisecond)
	defer due.Stop()
	for range 150 {
		<-due.C
		all.Go(func() { expectServed(t, device) })
	}
	all.Wait()
}

func expectServed(t *testing.T, device *client) {
	t.Helper()
	resp, err := device.h3.RoundTrip(device.request("PUT", "/svc", bytes.NewReader([]byte("x"))))
	if err != nil {
		t.Errorf("round trip: %v", err)
		return
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// notGateway finds the agent that hears of verdicts last: it only gets told.
func notGateway(t *testing.T, r *dev.Region) int {
	t.Helper()
	for _, member := range r.Agents[0].Members().Members {
		for n, a := range r.Agents {
			if a.Name == member.Name && !member.Gateway {
				return n
			}
		}
	}
	t.Fatal("every agent is a gateway")
	return 0
}
