package test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tidegate/tidegate/test/mesh"
)

// TestConsulMesh shares one mesh between the parts that break nothing.
func TestConsulMesh(t *testing.T) {
	m := wholeMesh(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *mesh.Mesh)
	}{
		{"RoutesByPath", routesByPath},
		{"RoutesByHeader", routesByHeader},
		{"RoutesByExpression", routesByExpression},
		{"RoutesByPayload", routesByPayload},
		{"SplitsByWeight", splitsByWeight},
		{"SticksToADevice", sticksToADevice},
		{"NginxServesAllRegions", nginxServesAllRegions},
		{"EgressReachesTheMesh", egressReachesTheMesh},
		{"CurlUsesTCP", curlUsesTCP},
		{"ForeignHTTP3ClientIsServed", foreignHTTP3ClientIsServed},
		{"CommandsTellWhatTheMeshKnows", commandsTellWhatTheMeshKnows},
		{"ExplainAgreesWithWhatHappens", explainAgreesWithWhatHappens},
		{"AgentsAreRegistered", agentsAreRegistered},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, m) })
	}
}

// ran says which route a message took, or how it was refused.
func ran(ans *mesh.Answer) string {
	if route := ans.Header.Get("X-Route"); route != "" && ans.Status == http.StatusOK {
		return route
	}
	return fmt.Sprintf("%d %s", ans.Status, ans.Body)
}

func routesByPath(t *testing.T, m *mesh.Mesh) {
	for _, a := range m.Agents() {
		device := a.Device(t, "", nil)
		ans := device.Do(t, mesh.Request{Path: "/v1/devices/d7/readings?unit=C", Header: map[string]string{"Ce-Id": "forged", "X-Mine": "kept"}})
		echo := ans.Echo
		if ran(ans) != "path" || echo.Region != a.Region.Name || echo.Path != "/ingest/d7" || echo.Query != "unit=C" {
			t.Errorf("at %s: %s, saw %+v", a.Name, ran(ans), echo)
		}
		if echo.Header.Get("Ce-Id") != "" || echo.Header.Get("X-Mine") != "kept" || echo.Header.Get("Tidegate-Region") != a.Region.Name {
			t.Errorf("at %s: the service saw the header %v", a.Name, echo.Header)
		}
		if ans := device.Get(t, "/v1/devices/all/readings"); ran(ans) != "path-literal" || ans.Echo.Path != "/v1/devices/all/readings" {
			t.Errorf("at %s: a literal path goes before a capture: %s", a.Name, ran(ans))
		}
		if ans := device.Get(t, "/hello"); ans.Status != http.StatusOK || ans.Body != "this is the edge\n" {
			t.Errorf("at %s: %s", a.Name, ran(ans))
		}
		if ans := device.Get(t, "/v1/nowhere"); ans.Status != http.StatusNotFound || ans.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("at %s: no route, but %s", a.Name, ran(ans))
		}
	}
}

func routesByHeader(t *testing.T, m *mesh.Mesh) {
	device := m.Region("eu-2").Agents[0].Device(t, "", nil)
	for version, want := range map[string]string{"2": "header", "1": "path"} {
		for range 8 {
			ans := device.Do(t, mesh.Request{Path: "/v1/devices/d7/readings", Header: map[string]string{"X-Version": version}})
			if ran(ans) != want || want == "header" && ans.Echo.Instance != "echo-canary" {
				t.Errorf("X-Version %s: %s at %s, want %s", version, ran(ans), ans.Echo.Instance, want)
			}
		}
	}
}

func routesByExpression(t *testing.T, m *mesh.Mesh) {
	agent := m.Region("us-1").Agents[1]
	acme := map[string]string{"tenant": "acme"}
	for _, c := range []struct {
		id         string
		properties map[string]string
		path, mode string
		want       string
	}{
		{"d7", acme, "/v1/devices/d7/commands", "on", "cel"},
		{"d7", acme, "/v1/devices/d7/commands", "off", "404"},
		{"d7", acme, "/v1/devices/d8/commands", "on", "404"},
		{"d7", map[string]string{"tenant": "other"}, "/v1/devices/d7/commands", "on", "404"},
		{"", nil, "/v1/devices/d7/commands", "on", "404"},
	} {
		ans := agent.Device(t, c.id, c.properties).Do(t, mesh.Request{Path: c.path, Header: map[string]string{"X-Mode": c.mode}})
		if !strings.HasPrefix(ran(ans), c.want) {
			t.Errorf("device %q %v, %s, mode %s: %s, want %s", c.id, c.properties, c.path, c.mode, ran(ans), c.want)
		}
		if c.want == "cel" && ans.Echo.Header.Get("Tidegate-Device") != c.id {
			t.Errorf("the service is not told the device: %v", ans.Echo.Header)
		}
	}
}

func routesByPayload(t *testing.T, m *mesh.Mesh) {
	device := m.Region("eu-1").Agents[0].Device(t, "", nil)
	long := `{"temperature": 99.5, "unit": "C", "padding": "` + strings.Repeat("x", 5<<10) + `"}`
	for _, c := range []struct{ body, want, class string }{
		{`{"temperature": 99.5, "unit": "C"}`, "payload", "high"},
		{`{"temperature": 12, "unit": "C"}`, "telemetry", "bulk"},
		{`{"temperature": 99.5, "unit": "F"}`, "telemetry", "bulk"},
		{`{"unit": "C"}`, "telemetry", "bulk"},
		{`not JSON`, "telemetry", "bulk"},
		{long, "telemetry", "bulk"},
	} {
		ans := device.Do(t, mesh.Request{Method: http.MethodPost, Path: "/v1/telemetry", Body: c.body})
		if ran(ans) != c.want || ans.Echo.Body != c.body || ans.Echo.Header.Get("Tidegate-Class") != c.class {
			t.Errorf("payload %.40s: %s, class %q, %d of %d bytes arrived, want %s", c.body, ran(ans),
				ans.Echo.Header.Get("Tidegate-Class"), len(ans.Echo.Body), len(c.body), c.want)
		}
	}
}

// splitsByWeight allows the canary's share four standard deviations: chance
// fails it once in ten thousand runs.
func splitsByWeight(t *testing.T, m *mesh.Mesh) {
	const requests, mean, deviation = 400, 80, 8
	device := m.Region("eu-1").Agents[1].Device(t, "", nil)
	var mu sync.Mutex
	count := map[string]int{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range requests / 8 {
				ans, err := device.Try(t.Context(), mesh.Request{Path: "/split"})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				count[ans.ServedBy()]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	canary := count["eu-1/echo-canary"]
	if canary < mean-4*deviation || canary > mean+4*deviation || canary+count["eu-1/echo-stable"] != requests {
		t.Errorf("split 80 to 20 of %d requests: %v", requests, count)
	}
}

func sticksToADevice(t *testing.T, m *mesh.Mesh) {
	subsets := map[string]bool{}
	for n := range 12 {
		id := fmt.Sprintf("device-%d", n)
		seen := map[string]bool{}
		for _, a := range []*mesh.Agent{m.Region("eu-1").Agents[0], m.Region("us-1").Agents[1]} {
			device := a.Device(t, id, nil)
			for range 4 {
				seen[device.Get(t, "/sticky").Echo.Instance] = true
			}
		}
		if len(seen) != 1 {
			t.Errorf("%s came to %v", id, slices.Sorted(maps.Keys(seen)))
		}
		maps.Copy(subsets, seen)
	}
	if len(subsets) != 2 {
		t.Errorf("12 devices all came to %v", slices.Sorted(maps.Keys(subsets)))
	}
}
