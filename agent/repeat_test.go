package agent_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tidegate/tidegate/agent/dev"
)

// onceOnly are routes that leave the ingress no attempt to repeat.
const onceOnly = `
service "svc" {
  beyond_group = true
}
route "never" {
  match {
    path = "/never"
  }
  forward {
    service = "svc"
  }
  retry {
    attempts   = 1
    idempotent = false
  }
}
route "always" {
  match {
    path = "/always"
  }
  forward {
    service = "svc"
  }
  retry {
    attempts   = 1
    idempotent = true
  }
}
route "by-method" {
  match {
    path = "/by-method"
  }
  forward {
    service = "svc"
  }
  retry {
    attempts = 1
  }
}
`

// The kept connection breaks after the request was written: it may have been
// processed.
func TestRouteSaysWhetherABrokenConnectionIsTriedAgain(t *testing.T) {
	for name, home := range map[string]string{"local": "eu-1", "across the mesh": "eu-2"} {
		t.Run(name, func(t *testing.T) {
			var seen atomic.Int64
			var breaks atomic.Bool
			var together atomic.Pointer[sync.WaitGroup]
			h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if seen.Add(1); r.Method == "GET" {
					all := together.Load()
					all.Done()
					all.Wait()
				}
				if breaks.CompareAndSwap(true, false) {
					panic(http.ErrAbortHandler)
				}
			})
			m := startMesh(t, dev.Config{Regions: 2, Agents: 1, Policy: []byte(onceOnly)}, h, home)
			device := deviceAt(t, m, "eu-1")
			for _, c := range []struct {
				method, path string
				want         int64
			}{
				{"PUT", "/never", 1}, {"POST", "/always", 2}, {"PUT", "/by-method", 2}, {"POST", "/by-method", 1},
			} {
				keepConnections(t, device, &together)
				seen.Store(0)
				breaks.Store(true)
				resp, _ := device.send(c.method, c.path, []byte("x"))
				if seen.Load() != c.want || (resp.StatusCode == http.StatusOK) != (c.want == 2) {
					t.Errorf("%s %s: seen %d times, want %d; status %d", c.method, c.path, seen.Load(), c.want, resp.StatusCode)
				}
			}
		})
	}
}

// keepConnections leaves some to both instances, whose handlers wait for each
// other.
func keepConnections(t *testing.T, device *client, together *atomic.Pointer[sync.WaitGroup]) {
	t.Helper()
	const enough = 16
	all := new(sync.WaitGroup)
	all.Add(enough)
	together.Store(all)
	failed := make(chan error, enough)
	for range enough {
		req := device.request("GET", "/never", nil)
		go func() {
			resp, err := device.h3.RoundTrip(req)
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			failed <- err
		}()
	}
	for range enough {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
}

func TestServicesSeeNoWordBetweenAgents(t *testing.T) {
	show := func(w http.ResponseWriter, r *http.Request) { _ = json.NewEncoder(w).Encode(r.Header) }
	m := startMesh(t, dev.Config{Regions: 2, Agents: 1, Policy: []byte(onceOnly)}, http.HandlerFunc(show), "eu-2")
	_, body := deviceAt(t, m, "eu-1").send("PUT", "/never", []byte("x"))
	if !strings.Contains(body, "Tidegate-Route") || strings.Contains(body, "Tidegate-Repeat") {
		t.Errorf("the service saw %s", body)
	}
}
