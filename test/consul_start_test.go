package test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/test/mesh"
)

// TestConsulComesAfterTheAgents: start order does not matter. Agents come up
// before Consul, say what they lack, and find everything later.
func TestConsulComesAfterTheAgents(t *testing.T) {
	m := mesh.New(t, mesh.Config{})
	for _, r := range m.Regions {
		r.Consul.Kill()
	}
	m.Start(t)
	for _, a := range m.Agents() {
		mesh.Await(t, 20*time.Second, func() string {
			if err := a.Get(admin.PathHealth, nil); err != nil {
				return a.Name + " is up without Consul: " + err.Error()
			}
			return ""
		})
		if err := a.Get(admin.PathReady, nil); err == nil || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), "no policy") {
			t.Errorf("%s is ready without a policy: %v", a.Name, err)
		}
		ans := a.Device(t, "", nil).Get(t, "/hello")
		if ans.Status != http.StatusServiceUnavailable || ans.Header.Get("Retry-After") == "" || !strings.Contains(ans.Body, "no-policy") {
			t.Errorf("%s answers %s", a.Name, ran(ans))
		}
	}
	for _, r := range m.Regions {
		r.Consul.Restart()
	}
	for _, r := range m.Regions {
		r.PutPolicy(t, policySource)
		serveEcho(t, r)
	}
	serveDepot(t, m.Region("eu-1"))
	m.AwaitWhole(t)
	for _, a := range m.Agents() {
		awaitPassing(t, a)
		device := a.Device(t, "", nil)
		if ans := device.Get(t, "/v1/devices/d7/readings"); ran(ans) != "path" || ans.Echo.Region != a.Region.Name {
			t.Errorf("%s: %s by %q", a.Name, ran(ans), ans.ServedBy())
		}
		if ans := device.Get(t, "/depot"); ans.Echo.Region != "eu-1" {
			t.Errorf("%s: depot is served by %q: %s", a.Name, ans.ServedBy(), ran(ans))
		}
	}
}
