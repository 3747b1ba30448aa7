package agent_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/dev"
	"github.com/tidegate/tidegate/policy"
)

func TestAnEvacuatedRegionIsLeftByItsOwnDevicesUntilReleased(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 3, Agents: 2}, nil)
	c := deviceAt(t, m, "eu-1")
	far, err := m.Region("eu-2")
	if err != nil {
		t.Fatal(err)
	}
	servedAtHome := func() bool {
		t.Helper()
		resp, body := c.send("PUT", "/keyed", []byte("x"))
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("status %d: %s", resp.StatusCode, body)
		}
		return strings.HasPrefix(resp.Header.Get("X-Served-By"), "eu-1/")
	}
	if !servedAtHome() {
		t.Fatal("eu-1 does not serve before the word")
	}
	ans, err := far.Agents[1].Override(t.Context(), admin.OverrideRequest{Action: "evacuate", Region: "eu-1", Reason: "new switches", ForSeconds: 600})
	if err != nil || ans.Override == nil || ans.Override.Kind != "evacuate" || *ans.Override.LeftSeconds != 600 {
		t.Fatalf("%+v, %v", ans, err)
	}
	eventually(t, "every agent shows it", func() bool { return shown(m, "eu-1") == 6 })
	eventually(t, "its own devices are served elsewhere", func() bool { return !servedAtHome() })
	home, err := m.Region("eu-1")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range home.Agents[0].Regions().Regions {
		if o := r.Override; r.Name == "eu-1" && (o.Kind != "evacuate" || o.Reason != "new switches" || o.By != far.Agents[1].Name || *o.LeftSeconds <= 500 || *o.LeftSeconds > 600) {
			t.Errorf("%+v", o)
		}
	}
	if _, err := home.Agents[0].Override(t.Context(), admin.OverrideRequest{Action: "release", Region: "eu-1"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no agent shows it", func() bool { return shown(m, "eu-1") == 0 })
	eventually(t, "it serves its devices again", servedAtHome)
}

// shown is at how many agents a region is under an operator's word.
func shown(m *dev.Mesh, region string) int {
	n := 0
	for _, r := range m.Regions {
		for _, a := range r.Agents {
			for _, known := range a.Regions().Regions {
				if known.Name == region && known.Override != nil {
					n++
				}
			}
		}
	}
	return n
}

func TestAWordOnNoRegionIsRefusedByName(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1}, nil)
	a := m.Regions[0].Agents[0]
	for _, c := range []struct {
		order admin.OverrideRequest
		kind  error
		says  string
	}{
		{admin.OverrideRequest{Action: "pin", Region: "mars-1"}, admin.ErrNotFound, `"mars-1"`},
		{admin.OverrideRequest{Action: "sink", Region: "eu-1"}, policy.ErrInvalid, `"sink"`},
		{admin.OverrideRequest{Action: "pin", Region: "eu-1", Reason: "\x1b[2J"}, policy.ErrInvalid, "control characters"},
	} {
		if _, err := a.Override(t.Context(), c.order); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", c.order, err)
		}
	}
	if shown(m, "eu-1") != 0 {
		t.Error("a refused word counts")
	}
}
