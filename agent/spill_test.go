package agent_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/agent/dev"
	"github.com/tidegate/tidegate/policy"
)

// refuseAll lets nothing more in at any agent of a region, or all again.
func refuseAll(t *testing.T, m *dev.Mesh, region string, on bool) {
	t.Helper()
	floor := policy.Rank(0)
	if on {
		floor = policy.MaxRank + 1
	}
	r, err := m.Region(region)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range r.Agents {
		a.LocalAdmission("svc").SetFloor(floor)
	}
}

func TestWhatTheRegionRefusesIsTriedInTheNextOneOnce(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 3, Agents: 1}, nil)
	c := deviceAt(t, m, "eu-1")
	refuseAll(t, m, "eu-1", true)
	resp, body := c.send("POST", "/svc", []byte("x"))
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("X-Served-By"), "eu-2/") {
		t.Errorf("status %d from %q: %s", resp.StatusCode, resp.Header.Get("X-Served-By"), body)
	}
	far, err := m.Region("eu-2")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it counts as spilled there", func() bool {
		s := far.Agents[0].LocalAdmission("svc").Stats()
		return s.Spilled[policy.High] > 0 && s.Local[policy.High] == 0
	})
	refuseAll(t, m, "eu-2", true)
	if resp, body := c.send("POST", "/svc", []byte("x")); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a third region is tried: status %d from %q: %s", resp.StatusCode, resp.Header.Get("X-Served-By"), body)
	}
}

func TestAFarAgentsRefusalIsFinalAndNobodysFault(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 3, Agents: 1}, nil, "eu-2")
	c := deviceAt(t, m, "eu-1")
	refuseAll(t, m, "eu-2", true)
	for range 10 {
		resp, body := c.send("PUT", "/keyed", []byte("x"))
		var p struct {
			Class, Reason string
			RetryAfterMS  int64 `json:"retry_after_ms"`
		}
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			t.Fatalf("status %d from %q: %v: %s", resp.StatusCode, resp.Header.Get("X-Served-By"), err, body)
		}
		if resp.StatusCode != http.StatusServiceUnavailable || p.Reason != "overload" || p.Class != "normal" || p.RetryAfterMS < 1000 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("status %d, Retry-After %q: %+v", resp.StatusCode, resp.Header.Get("Retry-After"), p)
		}
	}
	home, err := m.Region("eu-1")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range home.Agents[0].Sheds() {
		if s.Service != "svc" || s.Class != "normal" || s.Reason != "overload" || s.Cause != "eu-2" || s.Count != 10 {
			t.Errorf("counted as %+v", s)
		}
	}
	if n := home.Agents[0].RetrySeries(); n != 0 {
		t.Errorf("it is sent again: %d series", n)
	}
	refuseAll(t, m, "eu-2", false)
	if resp, body := c.send("PUT", "/keyed", []byte("x")); resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("X-Served-By"), "eu-2/") {
		t.Errorf("afterwards: status %d from %q: %s", resp.StatusCode, resp.Header.Get("X-Served-By"), body)
	}
}
