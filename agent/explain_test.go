package agent

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/policy"
)

const explained = `
service "svc" {
}
route "forged" {
  match {
    path    = "/x"
    headers = { "Tidegate-Class" = "critical" }
  }
  respond {
    status = 204
  }
}
route "hosted" {
  match {
    host = "hosted.mesh"
    path = "/x"
  }
  class = "high"
  forward {
    service = "svc"
  }
}
route "devices" {
  match {
    path = "/x"
  }
  respond {
    status = 200
  }
}
`

func TestExplainSeesWhatTheEdgeLetsThrough(t *testing.T) {
	a := handling(t, explained, http.NotFoundHandler())
	for _, name := range []string{"Tidegate-Class", "tidegate-class"} {
		got, err := a.Explain(admin.ExplainRequest{Path: "/x", Headers: map[string][]string{name: {"critical"}}})
		if err != nil || got.Route != "devices" {
			t.Errorf("%s: route %q, %v; the edge strips the header", name, got.Route, err)
		}
	}
}

func TestExplainDecidesForServicesAsTheEgressDoes(t *testing.T) {
	a := handling(t, explained, http.NotFoundHandler())
	for _, c := range []struct {
		host, route, class, service string
		status                      int
	}{
		{"svc.mesh", "egress.svc", "normal", "svc", 0},
		{"SVC.mesh:80", "egress.svc", "normal", "svc", 0},
		{"hosted.mesh", "hosted", "high", "svc", 0},
		{"other.mesh", "", "", "", http.StatusNotFound},
		{".mesh", "", "", "", http.StatusNotFound},
		{"gate.example", "devices", "normal", "", http.StatusOK},
	} {
		got, err := a.Explain(admin.ExplainRequest{Host: c.host, Path: "/x"})
		if err != nil {
			t.Fatal(err)
		}
		if got.Route != c.route || got.Class != c.class || got.Service != c.service || got.Status != c.status {
			t.Errorf("host %s: %+v", c.host, got)
		}
		if placed := strings.Contains(got.Verdict, "in region eu-1 at 127.0.0.1:"); placed != (c.service != "") {
			t.Errorf("host %s: %s", c.host, got.Verdict)
		}
	}
}

func TestExplainTakesATopic(t *testing.T) {
	a := handling(t, strings.ReplaceAll(publishPolicy, "$$", "$"), http.NotFoundHandler())
	for topic, want := range map[string]int{"devices/d 1/telemetry": 0, "devices/d2/telemetry": http.StatusForbidden} {
		ans, err := a.Explain(admin.ExplainRequest{Method: "PUBLISH", Path: topic, Device: admin.ExplainDevice{ID: "d 1"}})
		if err != nil || ans.Status != want || (want == 0) != (ans.Route == "telemetry") {
			t.Errorf("%s: %+v, %v", topic, ans, err)
		}
	}
	if _, err := a.Explain(admin.ExplainRequest{Method: "POST", Path: "devices/d 1/telemetry"}); err == nil {
		t.Error("a path without a slash")
	}
}

func TestExplainSaysWhoMaySubscribeAndSendCommands(t *testing.T) {
	a := handling(t, `
service "svc" {}
route "all" {
  forward { service = "svc" }
}
access "devices" {
  allow { subscribe = ["commands/${device.id}/#"] }
}
access "services" {
  services = ["ops"]
  allow { command = ["commands/${device.id}/#"] }
}`, http.NotFoundHandler())
	for _, c := range []struct {
		method, topic, device, service string
		status                         int
	}{
		{"SUBSCRIBE", "commands/d/+", "d", "", http.StatusOK},
		{"SUBSCRIBE", "commands/+/x", "d", "", http.StatusForbidden},
		{"SUBSCRIBE", "commands/d/+", "", "", http.StatusUnauthorized},
		{"COMMAND", "commands/d/do", "d", "ops", http.StatusOK},
		{"COMMAND", "commands/d/do", "d", "billing", http.StatusForbidden},
		{"COMMAND", "commands/e/do", "d", "ops", http.StatusForbidden},
	} {
		ans, err := a.Explain(admin.ExplainRequest{Method: c.method, Path: c.topic, Device: admin.ExplainDevice{ID: c.device}, Service: c.service})
		if err != nil || ans.Status != c.status || ans.Route != "" || c.device != "" && len(ans.Steps) == 0 {
			t.Errorf("%+v: %+v, %v", c, ans, err)
		}
	}
}

func TestExplainShowsWhatGathers(t *testing.T) {
	a := handling(t, fmt.Sprintf(batchPolicy, "20ms"), http.NotFoundHandler())
	for method, want := range map[string]policy.Step{
		"PUBLISH": {Stage: "batch", Subject: "in", Taken: true, Reason: "gathers with others for /events: until there are 5 messages, 8 KiB, or the first has waited 20ms"},
		"POST":    {Stage: "batch", Subject: "in", Reason: "only what is published over MQTT gathers"},
	} {
		ans, err := a.Explain(admin.ExplainRequest{Method: method, Path: "/in/d1/x", Device: admin.ExplainDevice{ID: "d1"}})
		if err != nil || !slices.Contains(ans.Steps, want) {
			t.Errorf("%s: %v, %+v", method, err, ans.Steps)
		}
	}
}
