package dev

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/agent/admin"
)

// ask sends a request to the control API of an agent and returns the status
// and what it says: the faults in force by ID, or the problem.
func ask(t *testing.T, m *Mesh, a *Agent, method, path, body string) (status int, says string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+a.AdminAddr()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+m.Token())
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		admin.FaultsAnswer
		admin.Problem
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, f := range answer.Faults {
		ids = append(ids, f.ID)
	}
	return resp.StatusCode, strings.Join(slices.Concat(ids, []string{answer.Detail}), " ")
}

func TestFaultsAreControlledThroughAnyAgent(t *testing.T) {
	m := start(t, Config{Regions: 2, Agents: 1})
	first, second := m.Regions[0].Agents[0], m.Regions[1].Agents[0]
	slow := `{"id":"a/b c","fault":"slow_service","region":"eu-1","service":"alarms","takes":"50ms","seconds":60}`
	for n, step := range []struct {
		agent              *Agent
		method, path, body string
		status             int
		says               string
	}{
		{first, "GET", "/v1/faults", "", 200, ""},
		{first, "POST", "/v1/faults", slow, 200, "a/b c"},
		{second, "POST", "/v1/faults", slow, 409, `fault "a/b c" (alarms takes 50ms in eu-1) is in force for`},
		{second, "GET", "/v1/faults", "", 200, "a/b c"},
		{second, "POST", "/v1/faults", `{"id":"x","fault":"agent_crash","agent":"eu-2-agent-1","seconds":1}`, 422, "cannot crash itself"},
		{first, "POST", "/v1/faults", `{"id":"x","fault":"region_outage","region":"eu-1"}`, 422, "say for how long"},
		{first, "POST", "/v1/faults", `{"id":"x","fault":"drill","seconds":1,"wish":true}`, 400, `unknown field "wish"`},
		{first, "POST", "/v1/faults", `{`, 400, "read request"},
		{first, "DELETE", "/v1/faults/none", "", 404, `no fault "none"`},
		{second, "DELETE", "/v1/faults/a%2Fb%20c", "", 200, ""},
		{first, "GET", "/v1/faults", "", 200, ""},
	} {
		status, says := ask(t, m, step.agent, step.method, step.path, step.body)
		if status != step.status || !strings.Contains(says, step.says) || step.says == "" && strings.TrimSpace(says) != "" {
			t.Errorf("%d. %s %s %s: %d %q, want %d %q", n+1, step.method, step.path, step.body, status, says, step.status, step.says)
		}
	}
}
