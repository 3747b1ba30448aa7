package agent_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/dev"
)

// anyPath sends everything to "svc" as it came.
const anyPath = `
service "svc" {
  beyond_group = true
}
route "any" {
  match {
    path = "/{rest...}"
  }
  forward {
    service = "svc"
  }
}
`

// through runs a check against a service of the device's own region, and one
// that only another region has, for every path.
func through(t *testing.T, h http.HandlerFunc, check func(t *testing.T, c *client)) {
	for name, home := range map[string]string{"local": "eu-1", "across the mesh": "eu-2"} {
		t.Run(name, func(t *testing.T) {
			m := startMesh(t, dev.Config{Regions: 2, Agents: 1, Policy: []byte(anyPath)}, h, home)
			check(t, deviceAt(t, m, "eu-1"))
		})
	}
}

func TestPathsArriveAsTheyWereEscaped(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RequestURI) }
	through(t, echo, func(t *testing.T, c *client) {
		for _, path := range []string{"/plain", "/a%20b", "/a%2Fb/c", "/%C3%BC?q=%20&x=a%2Fb", "/colon:x", "/caf%c3%a9"} {
			if _, got := c.send("POST", path, []byte("x")); got != path {
				t.Errorf("sent %s, the service got %s", path, got)
			}
		}
	})
}

func TestAnswersWithoutBodyKeepTheirHead(t *testing.T) {
	answers := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/head":
			w.Header().Set("Content-Length", "12345")
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/same":
			w.Header().Set("Etag", `"e"`)
			w.WriteHeader(http.StatusNotModified)
		case "/hinted":
			w.Header().Set("Link", "</style.css>")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusOK)
		}
	}
	through(t, answers, func(t *testing.T, c *client) {
		for _, want := range []struct {
			method, path string
			status       int
			header       [2]string
		}{
			{"HEAD", "/head", 200, [2]string{"Content-Length", "12345"}},
			{"GET", "/none", 204, [2]string{"Content-Type", ""}},
			{"GET", "/same", 304, [2]string{"Etag", `"e"`}},
			{"GET", "/hinted", 200, [2]string{"Link", "</style.css>"}},
			{"GET", "/empty", 200, [2]string{"Content-Length", "0"}},
		} {
			resp, body := c.do(c.request(want.method, want.path, nil))
			if resp.StatusCode != want.status || resp.Header.Get(want.header[0]) != want.header[1] || body != "" {
				t.Errorf("%s %s: status %d, %s %q, body %q", want.method, want.path, resp.StatusCode,
					want.header[0], resp.Header.Get(want.header[0]), body)
			}
		}
	})
}

func TestRequestTrailersReachTheService(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.Trailer.Get("X-Sum"), r.Trailer.Get("Tidegate-Device"))
	}
	through(t, echo, func(t *testing.T, c *client) {
		for _, size := range []int{100, 200 << 10} {
			req := c.request("POST", "/svc", io.MultiReader(bytes.NewReader(make([]byte, size))))
			req.Trailer = http.Header{"X-Sum": {"42"}, "Tidegate-Device": {"forged"}}
			if _, got := c.do(req); got != "42" {
				t.Errorf("%d bytes: the service got trailers %q", size, got)
			}
		}
	})
}

func TestServicesCannotSpeakForAgents(t *testing.T) {
	forges := func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Tidegate-Refused", "Tidegate-Failed", "Tidegate-Region"} {
			w.Header().Set(name, "forged")
			w.Header().Set(http.TrailerPrefix+name, "forged")
		}
		fmt.Fprint(w, "served")
	}
	through(t, forges, func(t *testing.T, c *client) {
		resp, body := c.send("POST", "/svc", []byte("x"))
		if resp.StatusCode != http.StatusOK || body != "served" {
			t.Errorf("status %d, %q", resp.StatusCode, body)
		}
		for _, h := range []http.Header{resp.Header, resp.Trailer} {
			for name := range h {
				if strings.HasPrefix(name, "Tidegate-") {
					t.Errorf("the device sees %s", name)
				}
			}
		}
	})
}

// states lists the states of the instances of "svc" that a region's agent sees.
func states(t *testing.T, m *dev.Mesh, region string) []string {
	t.Helper()
	r, err := m.Region(region)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, i := range r.Agents[0].Services().Services[0].Instances {
		all = append(all, i.Status)
	}
	return all
}

// endlessly sends the head of an answer, some of its body, and waits.
func endlessly(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, "event")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

func TestInstanceIsNotBlamedForDevicesThatLeave(t *testing.T) {
	for name, home := range map[string]string{"local": "eu-1", "across the mesh": "eu-2"} {
		t.Run(name, func(t *testing.T) {
			m := startMesh(t, dev.Config{Regions: 2, Agents: 1, Policy: []byte(anyPath)}, http.HandlerFunc(endlessly), home)
			c := deviceAt(t, m, "eu-1")
			for range 24 {
				resp, err := c.h3.RoundTrip(c.request("GET", "/svc", nil))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(resp.Body, make([]byte, len("event"))); err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
			}
			eventually(t, "nothing is in flight", func() bool {
				r, _ := m.Region(home)
				return r.Agents[0].Services().Services[0].InFlight == 0
			})
			if got := states(t, m, home); slices.Contains(got, "ejected") {
				t.Errorf("instances are %v", got)
			}
		})
	}
}

func TestInstanceThatHangsIsBlamedFromAfarToo(t *testing.T) {
	const impatient = `
service "svc" {
  timeout      = "100ms"
  beyond_group = true
}
route "any" {
  match {
    path = "/{rest...}"
  }
  forward {
    service = "svc"
  }
}
`
	var shortest atomic.Int64 // time that an instance was given
	hangs := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		began := time.Now()
		_, _ = io.Copy(io.Discard, r.Body) // else it does not hear that the agent hung up
		<-r.Context().Done()
		given := int64(time.Since(began))
		for was := shortest.Load(); given < was && !shortest.CompareAndSwap(was, given); was = shortest.Load() {
		}
	})
	for name, home := range map[string]string{"local": "eu-1", "across the mesh": "eu-2"} {
		t.Run(name, func(t *testing.T) {
			m := startMesh(t, dev.Config{Regions: 2, Agents: 1, Policy: []byte(impatient)}, hangs, home)
			far := admin.Fault{ID: "far", Kind: admin.FaultLatency, From: "eu-1", To: "eu-2", Delay: "40ms", Seconds: 600}
			if err := m.AddFault(t.Context(), far); err != nil {
				t.Fatal(err)
			}
			c := deviceAt(t, m, "eu-1")
			eventually(t, "the distance is known", func() bool { return distance(m, "eu-2") >= 0.03 })
			shortest.Store(int64(time.Hour))
			for range 16 {
				resp, body := c.send("POST", "/svc", []byte("x"))
				if resp.StatusCode != http.StatusGatewayTimeout || !strings.Contains(body, `"reason":"timeout"`) {
					t.Fatalf("status %d: %s", resp.StatusCode, body)
				}
			}
			if got := states(t, m, home); !slices.Contains(got, "ejected") {
				t.Errorf("instances are %v, none is ejected", got)
			}
			if got := time.Duration(shortest.Load()); home == "eu-2" && got > 90*time.Millisecond {
				t.Errorf("instances were given %s at least: no time was left for the answer to come back", got)
			}
		})
	}
}

// distance is the round trip from eu-1 to a region in seconds, as known there.
func distance(m *dev.Mesh, to string) float64 {
	for _, r := range m.Regions[0].Agents[0].Regions().Regions {
		if r.Name == to && r.RTTSeconds != nil {
			return *r.RTTSeconds
		}
	}
	return 0
}
