package agent_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/dev"
)

// Promise: a drain at a rate moves devices away at that rate, each with the name
// of an agent that stays, and what waited for them follows.
func TestADrainAtARateMovesDevicesToAFellow(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 1, Agents: 2, Policy: []byte(commandPolicy)}, nil)
	leaving, fellow := agentOf(m, 0, 0), agentOf(m, 0, 1)
	var all []*listener
	for _, device := range []string{"m1", "m2", "m3"} {
		all = append(all, listenMQTT(t, m, leaving, device))
	}
	stream := listenHTTP(t, m, leaving, "h1")
	plain := deviceAtAgent(t, m, leaving)
	if resp, _ := plain.send("GET", "/", nil); resp.StatusCode == 0 {
		t.Fatal("no answer")
	}

	began := time.Now()
	leaving.SetDraining(t.Context(), true, 4)
	eventually(t, "all devices are told to go", func() bool {
		for _, l := range all {
			if !l.over() {
				return false
			}
		}
		return stream.over()
	})
	if took := time.Since(began); took < 700*time.Millisecond {
		t.Errorf("four devices left within %v at 4/s", took)
	}
	for i, l := range all {
		if l.code != 0x9C || l.server != fellow.EdgeAddr() {
			t.Errorf("device %d: DISCONNECT %#x, server %q, want %s", i, l.code, l.server, fellow.EdgeAddr())
		}
	}
	if got := stream.lastWord(); !strings.Contains(got, fellow.EdgeAddr()) {
		t.Errorf("the stream's last word: %s", got)
	}

	waiting := commander{t, m, fellow}.post("/devices/m1/messages/commands/m1/do?wait=0s", "waits")
	if waiting.State != "pending" || waiting.Agent != leaving.Name {
		t.Errorf("%+v", waiting)
	}
	back := listenMQTT(t, m, fellow, "m1")
	eventually(t, "what waited follows", func() bool { return back.payloads() != "" })
	leaving.SetDraining(t.Context(), false, 0)
	if again := listenMQTT(t, m, leaving, "m9"); again.over() {
		t.Error("devices are moved after the drain was taken back")
	}
	if resp, _ := deviceAtAgent(t, m, leaving).send("POST", "/.tidegate/topics/up/other/x", nil); resp.StatusCode != http.StatusForbidden {
		t.Errorf("another's topic: %d", resp.StatusCode)
	}
}

func TestOperatorsSeeAndEndSessionsOfDevicesAnywhere(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 2, Agents: 2, Policy: []byte(commandPolicy)}, nil)
	l := listenMQTT(t, m, agentOf(m, 0, 1), "d")
	for _, from := range []*dev.Agent{agentOf(m, 0, 0), agentOf(m, 0, 1), agentOf(m, 1, 0)} {
		eventually(t, "the device is found", func() bool {
			got := from.Device(t.Context(), "d", false)
			return len(got.Sessions) == 1 && got.Sessions[0].Agent == agentOf(m, 0, 1).Name && got.Sessions[0].Connected
		})
	}
	if page := agentOf(m, 0, 1).Devices("", 10); page.Total != 1 || page.Devices[0].Device != "d" || page.Next != "" {
		t.Errorf("%+v", page)
	}
	if got := agentOf(m, 1, 0).Device(t.Context(), "d", true); len(got.Sessions) != 1 {
		t.Errorf("kicked: %+v", got)
	}
	eventually(t, "the device is told", l.over)
	if l.code != 0x98 {
		t.Errorf("DISCONNECT %#x", l.code)
	}
	eventually(t, "nobody has it", func() bool { return len(agentOf(m, 1, 1).Device(t.Context(), "d", false).Sessions) == 0 })
}

// A device that speaks HTTP publishes as over MQTT: the same access, route and
// form.
func TestATopicOverHTTPReachesTheServiceAsACloudEvent(t *testing.T) {
	got := make(chan http.Header, 1)
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1, Policy: []byte(commandPolicy)}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header.Clone()
		w.WriteHeader(http.StatusAccepted)
	}))
	c := deviceAtAgent(t, m, agentOf(m, 0, 0))
	c.h3.TLSClientConfig = deviceTLS(t, m, "d")
	req := c.request("POST", "/.tidegate/topics/up/d/power%20now", strings.NewReader("7"))
	req.Header.Set("Idempotency-Key", `"id-1"`)
	req.Header.Set("Ce-Id", "forged")
	req.Header.Set("X-Kind", "alarm")
	if resp, body := c.do(req); resp.StatusCode != http.StatusAccepted {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	h := <-got
	for name, want := range map[string]string{"Ce-Id": "id-1", "Ce-Subject": "up/d/power%20now", "Ce-Source": "/devices/d", "X-Kind": "alarm", "Idempotency-Key": `"id-1"`} {
		if h.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, h.Get(name), want)
		}
	}
	for path, want := range map[string]int{
		"/.tidegate/topics/up/other/x": http.StatusForbidden, "/.tidegate/topics/": http.StatusBadRequest,
		"/.tidegate/topics/up/%23": http.StatusBadRequest, "/.tidegate/elsewhere": http.StatusNotFound, "/.tidegate/messages/none": http.StatusNotFound,
	} {
		if resp, _ := c.send("POST", path, []byte("x")); resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
	for query, want := range map[string]int{
		"": http.StatusBadRequest, "?filter=commands/other/%23": http.StatusForbidden, "?filter=a%23": http.StatusBadRequest,
	} {
		if resp, _ := c.send("GET", "/.tidegate/messages"+query, nil); resp.StatusCode != want {
			t.Errorf("listen %s: %d, want %d", query, resp.StatusCode, want)
		}
	}
}
