package agent_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tidegate/tidegate/agent/dev"
)

// dropper reads the request and drops the connection for the first n requests:
// they may have been processed.
func dropper(n int64, seen *atomic.Int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if seen.Add(1) <= n {
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(body)
	})
}

func TestWhatMayHaveBeenProcessedIsRepeatedOnlyWhenIdempotent(t *testing.T) {
	cases := []struct {
		name, method, path, key string
		body                    []byte
		wantStatus              int
		wantSeen                int64
	}{
		{"POST is not", "POST", "/svc", "", []byte("x"), http.StatusBadGateway, 1},
		{"PUT is", "PUT", "/svc", "", []byte("x"), http.StatusOK, 2},
		{"POST where the route says so is", "POST", "/keyed", "", []byte("x"), http.StatusOK, 2},
		{"POST with an Idempotency-Key is", "POST", "/svc", "k1", []byte("x"), http.StatusOK, 2},
		{"64 KiB can be sent again", "PUT", "/svc", "", bytes.Repeat([]byte("y"), 64<<10), http.StatusOK, 2},
		{"more cannot", "PUT", "/svc", "", bytes.Repeat([]byte("y"), 64<<10+1), http.StatusBadGateway, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var seen atomic.Int64
			m := startMesh(t, dev.Config{Regions: 1, Agents: 1}, dropper(1, &seen))
			device := deviceAt(t, m, "eu-1")
			req := device.request(c.method, c.path, bytes.NewReader(c.body))
			if c.key != "" {
				req.Header.Set("Idempotency-Key", c.key)
			}
			resp, body := device.do(req)
			if resp.StatusCode != c.wantStatus || seen.Load() != c.wantSeen {
				t.Fatalf("status %d, seen %d times; want %d and %d", resp.StatusCode, seen.Load(), c.wantStatus, c.wantSeen)
			}
			if resp.StatusCode == http.StatusOK && body != string(c.body) {
				t.Errorf("the repeated body has %d bytes, want %d", len(body), len(c.body))
			}
		})
	}
}

func TestOverloadAnswerIsNeverRepeated(t *testing.T) {
	var seen atomic.Int64
	full := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Add(1)
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	m := startMesh(t, dev.Config{Regions: 2, Agents: 1}, full)
	resp, _ := deviceAt(t, m, "eu-1").send("PUT", "/keyed", []byte("x"))
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "7" || seen.Load() != 1 {
		t.Errorf("status %d, Retry-After %q, seen %d times; want 503, 7, once", resp.StatusCode, resp.Header.Get("Retry-After"), seen.Load())
	}
}

func TestUnreachableInstancesCostNoRequest(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 2, Agents: 1}, nil)
	device := deviceAt(t, m, "eu-1")
	home, err := m.Region("eu-1")
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range home.Instances {
		i.Stop()
	}
	for n := range 20 {
		resp, body := device.send("POST", "/svc", []byte("x"))
		if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("X-Served-By"), "eu-2/") {
			t.Fatalf("request %d: status %d from %q: %s", n, resp.StatusCode, resp.Header.Get("X-Served-By"), body)
		}
	}
}

func TestAttemptsThatReachNobodyDoNotUseUpTheRoutesAttempts(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 2, Agents: 1, Policy: []byte(anyPath)}, nil)
	device := deviceAt(t, m, "eu-1")
	home, err := m.Region("eu-1")
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range home.Instances {
		i.Stop()
	}
	for n := range 20 {
		if resp, body := device.send("POST", "/svc", []byte("x")); resp.StatusCode != http.StatusOK {
			t.Fatalf("request %d: status %d: %s", n, resp.StatusCode, body)
		}
	}
}

func TestWithoutAnyPlaceTheAnswerSaysWhenToComeBack(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1}, nil, "us-1")
	resp, body := deviceAt(t, m, "eu-1").send("POST", "/svc", []byte("x"))
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("status %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	if !strings.Contains(body, `"reason":"no-region"`) || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s body %s", resp.Header.Get("Content-Type"), body)
	}
	if resp, body = deviceAt(t, m, "eu-1").send("GET", "/unknown", nil); resp.StatusCode != http.StatusNotFound || !strings.Contains(body, "no-route") {
		t.Errorf("status %d body %s", resp.StatusCode, body)
	}
}
