package agent_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/dev"
)

// An upgrade fails no request: who connects to an agent that has just started is
// served also where only another region can.
func TestAgentThatHasJustStartedServesWhatOnlyOtherRegionsCan(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 2, Agents: 2}, nil, "eu-2")
	name := m.Regions[0].Agents[0].Name
	if err := m.Crash(name); err != nil {
		t.Fatal(err)
	}
	if err := m.Restart(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	device := deviceAtAgent(t, m, m.Regions[0].Agents[0])
	for began := time.Now(); time.Since(began) < time.Second; {
		if resp, body := device.send("PUT", "/svc", []byte("x")); resp.StatusCode != http.StatusOK {
			t.Fatalf("%s after the start: status %d: %s", time.Since(began), resp.StatusCode, body)
		}
	}
}
