package agent_test

import (
	"encoding/json"
	"net/http"
	"testing"
)

func TestDevicesCannotForgeWhatTheEdgeVouchesFor(t *testing.T) {
	show := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Tidegate-Refused", "forged-by-service")
		_ = json.NewEncoder(w).Encode(r.Header)
	})
	nearAndFar(t, show, func(t *testing.T, c *client) {
		req := c.request("GET", "/svc", nil)
		forged := map[string]string{
			"Tidegate-Class": "critical", "Tidegate-Device": "admin", "Tidegate-Route": "x", "Tidegate-Region": "mars",
			"Tidegate-Service": "y", "Tidegate-Deadline": "1", "Ce-Id": "1", "Forwarded": "for=1.2.3.4",
			"X-Forwarded-For": "1.2.3.4", "Early-Data": "1",
		}
		for name, value := range forged {
			req.Header.Set(name, value)
		}
		req.Header.Set("X-Own", "kept")
		resp, body := c.do(req)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Tidegate-Refused") != "" {
			t.Fatalf("status %d, headers %v", resp.StatusCode, resp.Header)
		}
		var seen http.Header
		if err := json.Unmarshal([]byte(body), &seen); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"Tidegate-Class": "high", "Tidegate-Device": "device-7", "Tidegate-Route": "svc",
			"Tidegate-Region": "eu-1", "X-Own": "kept"}
		for name, value := range want {
			if got := seen[name]; len(got) != 1 || got[0] != value {
				t.Errorf("service saw %s = %q, want %q", name, got, value)
			}
		}
		for name, value := range forged {
			if got := seen.Get(name); got == value {
				t.Errorf("the forged %s: %s reached the service", name, value)
			}
		}
	})
}
