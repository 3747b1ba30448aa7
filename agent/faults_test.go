package agent_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/dev"
)

// spoiltRoutes have faults of their own until a time.
func spoiltRoutes(until time.Time) []byte {
	return fmt.Appendf(nil, `
service "svc" {}
route "fails" {
  match {
    path = "/fails"
  }
  forward {
    service = "svc"
  }
  fault {
    status = 503
    until  = %[1]q
  }
}
route "late" {
  match {
    path = "/late"
  }
  forward {
    service = "svc"
  }
  fault {
    delay = "300ms"
    until = %[1]q
  }
}
route "too-late" {
  match {
    path = "/too-late"
  }
  timeout = "200ms"
  forward {
    service = "svc"
  }
  fault {
    delay = "10s"
    until = %[1]q
  }
}
route "rest" {
  forward {
    service = "svc"
  }
}
`, until.UTC().Format(time.RFC3339))
}

func TestARouteInjectsItsFaultUntilItsTime(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1, Policy: spoiltRoutes(time.Now().Add(time.Hour))}, nil)
	device := deviceAt(t, m, "eu-1")
	get := func(path string) (int, string, time.Duration) {
		began := time.Now()
		resp, body := device.send(http.MethodGet, path, nil)
		return resp.StatusCode, body, time.Since(began)
	}
	if status, body, _ := get("/fails"); status != 503 || !strings.Contains(body, `"reason":"fault-injected"`) {
		t.Errorf("a route that fails: %d %s", status, body)
	}
	if status, body, took := get("/late"); status != 200 || took < 300*time.Millisecond {
		t.Errorf("a route that is late: %d %s after %s", status, body, took)
	}
	if status, body, took := get("/too-late"); status != 504 || took > 5*time.Second {
		t.Errorf("a route that is later than its timeout: %d %s after %s", status, body, took)
	}
	if status, body, _ := get("/rest"); status != 200 {
		t.Errorf("another route: %d %s", status, body)
	}
	// An hour later, by its own clock, the agent leaves the faults out.
	jump := admin.Fault{ID: "later", Kind: admin.FaultClockJump, Agent: m.Regions[0].Agents[0].Name, By: "61m", Seconds: 60}
	if err := m.AddFault(t.Context(), jump); err != nil {
		t.Fatal(err)
	}
	if status, body, _ := get("/fails"); status != 200 {
		t.Errorf("a fault whose time is over: %d %s", status, body)
	}
}

// A service's fault in the region that serves is met by devices of another one.
func TestAServicesFaultIsMetThroughTheMesh(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 2, Agents: 1}, nil, "eu-2")
	device := deviceAt(t, m, "eu-1")
	if resp, body := device.send(http.MethodPut, "/svc", []byte("x")); resp.StatusCode != 200 {
		t.Fatalf("before: %d %s", resp.StatusCode, body)
	}
	fault := admin.Fault{ID: "spoilt", Kind: admin.FaultServiceFault, Region: "eu-2", Service: "svc", Status: 418, Seconds: 60}
	if err := m.AddFault(t.Context(), fault); err != nil {
		t.Fatal(err)
	}
	if resp, body := device.send(http.MethodPut, "/svc", []byte("x")); resp.StatusCode != 418 || !strings.Contains(body, "fault spoilt") {
		t.Errorf("while it is in force: %d %s", resp.StatusCode, body)
	}
	if err := m.RemoveFault(t.Context(), "spoilt"); err != nil {
		t.Fatal(err)
	}
	if resp, body := device.send(http.MethodPut, "/svc", []byte("x")); resp.StatusCode != 200 {
		t.Errorf("after: %d %s", resp.StatusCode, body)
	}
}

// What an agent of production says that was not opened to faults.
func TestFaultsAreRefusedWhereTheyAreNotEnabled(t *testing.T) {
	mux := http.NewServeMux()
	admin.AddFaults(mux, nil, "")
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, httptest.NewRequest(method, admin.PathFaults+"/x", nil))
		if body := rec.Body.String(); rec.Code != http.StatusNotFound || !strings.Contains(body, "fault { enabled = true }") {
			t.Errorf("%s: %d %s", method, rec.Code, body)
		}
	}
}
