package agent_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/agent/dev"
)

func TestPolicyFileIsFollowedAndABadOneChangesNothing(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1}, nil)
	device, agent := deviceAt(t, m, "eu-1"), m.Regions[0].Agents[0]
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(m.PolicyFile(), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	answers := func(want int) func() bool {
		return func() bool {
			resp, _ := device.do(device.request("GET", "/new", nil))
			return resp.StatusCode == want
		}
	}
	if resp, _ := device.do(device.request("GET", "/new", nil)); resp.StatusCode != http.StatusNotFound {
		t.Fatalf("before: status %d", resp.StatusCode)
	}
	write(oneService + "\nroute \"new\" {\n match {\n path = \"/new\"\n }\n respond {\n status = 204\n }\n}\n")
	eventually(t, "the new route answers", answers(http.StatusNoContent))

	good := agent.Policy().Version
	write(oneService + "\nroute \"new\" {\n match {\n path = \"/new\"\n }\n class = \"urgent\"\n respond {\n status = 200\n }\n}\n")
	eventually(t, "the bad policy is refused", func() bool { return agent.Policy().Refused != nil })
	refused := agent.Policy().Refused
	if len(refused.Diagnostics) == 0 || !strings.Contains(refused.Diagnostics[0].Text, `"urgent"`) {
		t.Errorf("refusal does not show the faulty line: %+v", refused)
	}
	if agent.Policy().Version != good || !answers(http.StatusNoContent)() {
		t.Error("the good policy is no longer in force")
	}
	write(oneService + "\nroute \"new\" {\n match {\n path = \"/new\"\n }\n respond {\n status = 204\n }\n}\n")
	eventually(t, "the refusal ends when the good policy is back", func() bool { return agent.Policy().Refused == nil })
	if agent.Policy().Version != good {
		t.Error("the same text has another version")
	}
	if err := os.Remove(m.PolicyFile()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the missing file is reported", func() bool {
		refused := agent.Policy().Refused
		return refused != nil && strings.Contains(refused.Error, "no such file")
	})
	if !answers(http.StatusNoContent)() {
		t.Error("a missing file took the policy away")
	}
}

func TestRequestsInFlightKeepTheirPolicy(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	waits := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
		_, _ = w.Write([]byte(r.Header.Get("Tidegate-Class")))
	})
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1}, waits)
	device, agent := deviceAt(t, m, "eu-1"), m.Regions[0].Agents[0]
	got := make(chan string, 1)
	go func() {
		_, body := device.send("POST", "/svc", []byte("x"))
		got <- body
	}()
	<-arrived
	before := agent.Policy().Version
	if err := os.WriteFile(m.PolicyFile(), []byte("# no service at all any more\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new policy is in force", func() bool { return agent.Policy().Version != before })
	close(release)
	if body := <-got; body != "high" {
		t.Errorf("the request that had begun got %q", body)
	}
}
