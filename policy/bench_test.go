package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/policy"
)

// benchmarkPolicy has a thousand routes beside the ones looked for.
func benchmarkPolicy(b *testing.B) *policy.Policy {
	var src strings.Builder
	src.WriteString(`
service "a" {}
route "alarms" {
  match {
    methods = ["POST"]
    path    = "/v1/devices/{id}/alarms"
  }
  forward {
    service = "a"
  }
}
route "rewritten" {
  match {
    path = "/v1/devices/{id}/telemetry"
  }
  forward {
    service = "a"
  }
  rewrite {
    path = "/ingest/{id}"
  }
}
route "conditional" {
  match {
    path = "/v1/devices/{id}/events"
    when = "device.tenant == 'a' && request.headers['x-kind'] == 'alarm'"
  }
  forward {
    service = "a"
  }
}
`)
	for i := range 1000 {
		fmt.Fprintf(&src, "route \"r%d\" {\n  match {\n    path = \"/v1/other/%d/{x}\"\n  }\n  forward {\n    service = \"a\"\n  }\n}\n", i, i)
	}
	return compiled(b, src.String())
}

func BenchmarkDecide(b *testing.B) {
	p := benchmarkPolicy(b)
	for _, c := range []struct{ name, path, route string }{
		{"capture", "/v1/devices/sensor-0042/alarms", "alarms"},
		{"rewrite", "/v1/devices/sensor-0042/telemetry", "rewritten"},
		{"when", "/v1/devices/sensor-0042/events", "conditional"},
		{"thousand", "/v1/other/777/x", "r777"},
	} {
		b.Run(c.name, func(b *testing.B) {
			m := &policy.Message{
				Method: "POST", Host: "api.example.com", Path: c.path,
				Header: map[string][]string{"X-Kind": {"alarm"}, "Content-Type": {"application/json"}},
				Device: policy.Device{ID: "sensor-0042", Properties: map[string]string{"tenant": "a"}},
			}
			if got := routeName(p.Decide(m, 1, nil)); got != c.route {
				b.Fatalf("route %q", got)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				p.Decide(m, uint64(i), nil)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	src := manyRoutes(1000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := policy.Parse(policy.File{Name: "p.hcl", Src: src}); err != nil {
			b.Fatal(err)
		}
	}
}

// A decision for a message that needs no rewriting costs no allocation.
func TestDecidingOnALiteralAndACaptureDoesNotAllocate(t *testing.T) {
	p := policyOf(t, "testdata/decide/specificity.hcl")
	m := &policy.Message{Method: "GET", Host: "h", Path: "/v1/devices/42/alarms"}
	if allocs := testing.AllocsPerRun(100, func() { p.Decide(m, 1, nil) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
