package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/dev"
)

const listenPolicy = `
access "devices" {
  allow { subscribe = ["commands/${device.id}/#"] }
}
access "services" {
  services = ["*"]
  allow { command = ["commands/${device.id}/#"] }
}`

func TestDeviceListenPrintsCommandsAndTheServiceHears(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a mesh")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	m, err := dev.Start(ctx, dev.Config{Regions: 1, Agents: 1, Policy: []byte(listenPolicy)})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	issued, err := m.Authority().IssueDevice("d1", nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(t.TempDir(), "d1.pem"), filepath.Join(t.TempDir(), "d1.key")
	for name, pem := range map[string][]byte{cert: issued.CertPEM, key: issued.KeyPEM} {
		if err := os.WriteFile(name, pem, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	agent := m.Regions[0].Agents[0]
	for _, protocol := range []string{"mqtt", "http3"} {
		var out, errs bytes.Buffer
		root := newRoot()
		root.SetArgs([]string{"device", "listen", "commands/d1/#", "--protocol", protocol, "--server", agent.EdgeAddr(), "--ca", m.CAFile(), "--cert", cert, "--key", key, "--count", "1", "--json"})
		root.SetOut(&out)
		root.SetErr(&errs)
		ended := make(chan error, 1)
		go func() { ended <- root.ExecuteContext(ctx) }()
		id := rand.Text()
		status := 0
		for ; status != http.StatusOK && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
			status = sendCommand(ctx, t, m, agent.EgressAddr(), id)
		}
		if err := <-ended; err != nil {
			t.Errorf("%s: %v, %s", protocol, err, &errs)
		}
		var got arrived
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.ID != id || got.Topic != "commands/d1/do" || got.Payload != "blink" || errs.Len() > 0 {
			t.Errorf("%s: printed %s, %s, %v", protocol, &out, &errs, err)
		}
	}
}

func sendCommand(ctx context.Context, t *testing.T, m *dev.Mesh, egress, id string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+egress+"/devices/d1/messages/commands/d1/do", strings.NewReader("blink"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Proxy-Authorization", "Bearer "+m.Token())
	req.Header.Set("Idempotency-Key", id)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
