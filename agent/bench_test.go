package agent

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidegate/tidegate/agent/catalog"
	"github.com/tidegate/tidegate/agent/inject"
	"github.com/tidegate/tidegate/agent/upstream"
	"github.com/tidegate/tidegate/gossip"
	"github.com/tidegate/tidegate/policy"
)

const benchPolicy = `
service "svc" {
}
route "telemetry" {
  match {
    methods = ["POST"]
    path    = "/v1/devices/{id}/telemetry"
  }
  class = "high"
  forward {
    service = "svc"
  }
}
`

// handling is as much of an agent as the way of a message takes, in front of
// one instance, which h is.
func handling(tb testing.TB, src string, h http.Handler) *Agent {
	tb.Helper()
	server := httptest.NewServer(h)
	tb.Cleanup(server.Close)
	compiled, err := policy.Parse(policy.File{Name: "p.hcl", Src: []byte(src)})
	if err != nil {
		tb.Fatal(err)
	}
	a := &Agent{
		upstream: upstream.New(upstream.Config{}), instances: policy.NewInstanceTable(),
		retries: policy.NewRetryBudget(time.Now()),
	}
	a.conditions = inject.NewConditions("a1", "eu-1", nil)
	a.metrics = newMetrics(prometheus.NewRegistry(), &a.active)
	a.admissions = newAdmissions(a.metrics.shed)
	a.batches = newBatches(a.metrics.batches)
	tb.Cleanup(a.batches.end)
	tb.Cleanup(a.upstream.Close)
	a.buffers.New = func() any { return new([copyBuffer]byte) }
	a.view.Store(join(inputs{
		policy: compiled,
		catalog: &catalog.Snapshot{Services: map[string][]catalog.Instance{"svc": {
			{ID: "i1", Address: server.Listener.Addr().String()}}}},
		gossip: &gossip.State{}, instances: a.instances,
		self: gossip.Meta{Name: "a1", Region: "eu-1", Group: "eu"}, unready: a.conditions.Unready,
	}, time.Now()))
	return a
}

// sink is a ResponseWriter that keeps nothing.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) Flush()                      {}

// BenchmarkHandleLocal is the agent's own share of a message that a local
// instance answers, that instance's work included.
func BenchmarkHandleLocal(b *testing.B) {
	a := handling(b, benchPolicy, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write([]byte("ok"))
	}))
	payload := bytes.Repeat([]byte("x"), 200)
	device := policy.Device{ID: "d-1"}
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := &http.Request{
				Method: "POST", Host: "gate.example", URL: &url.URL{Path: "/v1/devices/d-1/telemetry"}, ProtoMajor: 3,
				Header:        http.Header{"Content-Type": {"application/json"}, "User-Agent": {"bench"}, "Accept": {"*/*"}},
				ContentLength: int64(len(payload)), Body: io.NopCloser(bytes.NewReader(payload)), RemoteAddr: "192.0.2.1:4433",
			}
			a.handle(&sink{header: http.Header{}}, r.WithContext(b.Context()), device)
		}
	})
}
