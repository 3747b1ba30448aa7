package agent_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/agent/dev"
)

func TestServicesCallServicesThroughTheEgress(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 2, Agents: 1}, nil, "eu-2")
	agent := m.Regions[0].Agents[0]
	call := func(host, token string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+agent.EgressAddr()+"/stock?id=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		req.Header.Set("Proxy-Authorization", "Bearer "+token)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)

	resp, body := call("svc.mesh", m.Token())
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, `"region":"eu-2"`) || !strings.Contains(body, `"path":"/stock?id=1"`) {
		t.Errorf("status %d, %s", resp.StatusCode, body)
	}
	for _, c := range []struct {
		host, token string
		want        int
	}{
		{"svc.mesh", "wrong", http.StatusUnauthorized},
		{"other.mesh", m.Token(), http.StatusNotFound},
		{"example.com", m.Token(), http.StatusBadRequest},
		{".mesh", m.Token(), http.StatusBadRequest},
	} {
		if resp, body := call(c.host, c.token); resp.StatusCode != c.want {
			t.Errorf("host %q token %q: status %d, want %d: %s", c.host, c.token, resp.StatusCode, c.want, body)
		}
	}
}
