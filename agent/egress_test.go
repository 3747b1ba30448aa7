package agent_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

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

func egressCall(t *testing.T, m *dev.Mesh, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+m.Regions[0].Agents[0].EgressAddr()+"/x", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "svc.mesh"
	req.Header.Set("Proxy-Authorization", "Bearer "+m.Token())
	return req
}

func TestDrainFinishesWhatLocalServicesAsked(t *testing.T) {
	arrived, release := make(chan struct{}, 1), make(chan struct{})
	waits := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
		_, _ = w.Write([]byte("done"))
	})
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1}, waits)
	got := make(chan string, 1)
	go func() {
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(egressCall(t, m, nil))
		if err != nil {
			got <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		got <- string(body)
	}()
	<-arrived
	agent := m.Regions[0].Agents[0]
	ended := make(chan error, 1)
	go func() {
		err := agent.Drain(t.Context())
		_ = agent.Close()
		ended <- err
	}()
	eventually(t, "it drains", func() bool { ok, _ := agent.Ready(); return !ok })
	var early bool
	select {
	case <-ended:
		early = true
	case <-time.After(200 * time.Millisecond):
	}
	close(release)
	if early {
		t.Fatal("drained with a request in flight")
	}
	if err := <-ended; err != nil {
		t.Errorf("drain: %v", err)
	}
	if body := <-got; body != "done" {
		t.Errorf("the request in flight got %q", body)
	}
}

func TestEgressStreamsBothWays(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		buf := make([]byte, 16)
		for {
			n, err := r.Body.Read(buf)
			_, _ = w.Write(buf[:n])
			_ = http.NewResponseController(w).Flush()
			if err != nil {
				return
			}
		}
	})
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1}, echo)
	out, in := io.Pipe()
	defer in.Close()
	go func() { _, _ = in.Write([]byte("one")) }()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	kept := &http.Transport{} // net/http drains the body only where the connection goes on
	defer kept.CloseIdleConnections()
	resp, err := kept.RoundTrip(egressCall(t, m, out).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for _, word := range []string{"one", "two"} {
		if word != "one" {
			go func() { _, _ = in.Write([]byte(word)) }()
		}
		back := make([]byte, 3)
		if _, err := io.ReadFull(resp.Body, back); err != nil || string(back) != word {
			t.Fatalf("got %q, %v; want %q while the request is open", back, err, word)
		}
	}
}

func TestDevicesCannotTakeTheRoutesOfServices(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1}, nil)
	device := deviceAt(t, m, "eu-1")
	req := device.request("GET", "/svc", nil)
	req.Host = "svc.mesh"
	if resp, body := device.do(req); resp.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("status %d: %s", resp.StatusCode, body)
	}
}
