package policy_test

import (
	"strings"
	"testing"

	"github.com/tidegate/tidegate/policy"
	"pgregory.net/rapid"
)

const accessPolicy = `
service "ingest" {}
route "all" {
  forward { service = "ingest" }
}
route "hello" {
  anonymous = true
  match { path = "/hello" }
  respond {}
}

access "meters" {
  devices    = ["meter-*"]
  properties = { tenant = "acme" }
  allow {
    methods = ["POST"]
    path    = "/v1/devices/${device.id}/{rest...}"
  }
  allow {
    methods = ["GET"]
    path    = "/v1/tenants/t-${device.tenant}/config"
  }
}
access "gateways" {
  properties = { gateway = "*" }
  when       = "device.fw >= '2' && request.query == ''"
  allow {}
}
access "trial" {
  devices = ["trial-1"]
  audit   = true
}
deny {
  devices = ["meter-13", "stolen-*-x"]
}
`

func device(id string, properties ...string) policy.Device {
	d := policy.Device{ID: id, Properties: map[string]string{}}
	for _, p := range properties {
		name, value, _ := strings.Cut(p, "=")
		d.Properties[name] = value
	}
	return d
}

func TestOnlyWhatAnAccessBlockAllowsIsLetIn(t *testing.T) {
	p := compiled(t, accessPolicy)
	meter := device("meter-7", "tenant=acme")
	for _, c := range []struct {
		name         string
		device       policy.Device
		method, path string
		query        string
		want         policy.AccessVerdict
	}{
		{"its own", meter, "POST", "/v1/devices/meter-7/telemetry", "", policy.AccessVerdict{Allowed: true, Rule: "meters"}},
		{"its own, escaped", meter, "POST", "/v1/devices/meter%2D7/telemetry", "", policy.AccessVerdict{Allowed: true, Rule: "meters"}},
		{"its tenant's", meter, "GET", "/v1/tenants/t-acme/config", "", policy.AccessVerdict{Allowed: true, Rule: "meters"}},
		{"another's", meter, "POST", "/v1/devices/meter-8/telemetry", "", policy.AccessVerdict{}},
		{"a longer name", meter, "POST", "/v1/devices/meter-70/telemetry", "", policy.AccessVerdict{}},
		{"nothing below", meter, "POST", "/v1/devices/meter-7", "", policy.AccessVerdict{}},
		{"a reference as text", meter, "POST", "/v1/devices/$%7Bdevice.id%7D/x", "", policy.AccessVerdict{}},
		{"another method", meter, "PUT", "/v1/devices/meter-7/telemetry", "", policy.AccessVerdict{}},
		{"another tenant's", meter, "GET", "/v1/tenants/t-other/config", "", policy.AccessVerdict{}},
		{"more than the path", meter, "GET", "/v1/tenants/t-acme/config/x", "", policy.AccessVerdict{}},
		{"another tenant", device("meter-7", "tenant=other"), "POST", "/v1/devices/meter-7/telemetry", "", policy.AccessVerdict{}},
		{"no tenant", device("meter-7"), "POST", "/v1/devices/meter-7/telemetry", "", policy.AccessVerdict{}},
		{"another device", device("valve-1", "tenant=acme"), "POST", "/v1/devices/valve-1/telemetry", "", policy.AccessVerdict{}},
		{"up and down again", meter, "POST", "/v1/devices/meter-8/../meter-7/x", "", policy.AccessVerdict{}},
		{"by when", device("g", "gateway=yes", "fw=2.1"), "DELETE", "/x", "", policy.AccessVerdict{Allowed: true, Rule: "gateways"}},
		{"when is false", device("g", "gateway=yes", "fw=1"), "DELETE", "/x", "", policy.AccessVerdict{}},
		{"when looks at the query", device("g", "gateway=yes", "fw=2"), "GET", "/x", "a=1", policy.AccessVerdict{}},
		{"when fails", device("g", "gateway=yes"), "GET", "/x", "", policy.AccessVerdict{Failed: 1}},
		{"on trial", device("trial-1"), "GET", "/x", "", policy.AccessVerdict{Allowed: true, Audit: "trial"}},
		{"denied", device("meter-13", "tenant=acme"), "POST", "/v1/devices/meter-13/telemetry", "", policy.AccessVerdict{}},
		{"denied by pattern", device("stolen-2-x", "gateway=yes", "fw=3"), "GET", "/x", "", policy.AccessVerdict{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &policy.Message{Method: c.method, Path: c.path, Query: c.query, Device: c.device}
			same(t, "verdict", p.Access(m, nil), c.want)
			var trace policy.Trace
			same(t, "explained", p.Access(m, &trace), c.want)
			if len(trace.Steps) == 0 {
				t.Error("not explained")
			}
		})
	}
}

func TestWithoutAccessBlocksRoutesAloneDecide(t *testing.T) {
	p := compiled(t, `
		route "all" {
		  respond {}
		}
		deny {
		  devices = ["x"]
		}`)
	m := &policy.Message{Method: "GET", Path: "/", Device: device("y")}
	same(t, "any device", p.Access(m, nil), policy.AccessVerdict{Allowed: true})
	same(t, "an unknown one", p.AllowsUnknown(p.Routes()[0]), true)
	m.Device.ID = "x"
	same(t, "a denied one", p.Access(m, nil), policy.AccessVerdict{})
}

func TestUnknownDevicesAreLetInOnlyWhereARouteSaysSo(t *testing.T) {
	p := compiled(t, accessPolicy)
	for _, r := range p.Routes() {
		same(t, r.Name, p.AllowsUnknown(r), r.Name == "hello")
	}
	same(t, "nobody is denied", p.Denied(policy.Device{}), false)
}

// Where two devices differ, what one is allowed by its name is not the other's,
// whatever characters names and paths are made of.
func TestNoDeviceReachesAnothersPath(t *testing.T) {
	p := compiled(t, `
		access "own" {
		  allow { path = "/d/x${device.id}y/{rest...}" }
		  allow { path = "/t/${device.tenant}" }
		}
		route "all" {
		  respond {}
		}`)
	id := rapid.StringOf(rapid.RuneFrom([]rune("xy-._~:@=aA%")))
	rapid.Check(t, func(t *rapid.T) {
		a, b := id.Draw(t, "a"), id.Draw(t, "b")
		m := &policy.Message{Method: "GET", Path: "/d/x" + strings.ReplaceAll(b, "%", "%25") + "y/z", Device: device(a)}
		if want := a == b && a != ""; p.Access(m, nil).Allowed != want {
			t.Fatalf("device %q at %s: %v", a, m.Path, !want)
		}
		m.Path, m.Device = "/t/"+strings.ReplaceAll(b, "%", "%25"), device("d", "tenant="+a)
		if p.Access(m, nil).Allowed && (a != b || a == "") {
			t.Fatalf("tenant %q at %s", a, m.Path)
		}
	})
}

func TestPatternsOfDevices(t *testing.T) {
	for _, c := range []struct {
		pattern, id string
		want        bool
	}{
		{"*", "a", true}, {"a*", "a", true}, {"a*", "ba", false}, {"*a", "ba", true}, {"*a", "ab", false},
		{"a*b*c", "abc", true}, {"a*b*c", "aXbYbZc", true}, {"a*b*c", "acb", false}, {"ab*ba", "aba", false},
		{"ab*ba", "abba", true}, {"*aa*", "a", false}, {"**", "x", true}, {"a", "A", false},
	} {
		p := compiled(t, "deny {\n devices = [\""+c.pattern+"\"]\n}\n")
		if p.Denied(device(c.id)) != c.want {
			t.Errorf("%q and %q: %v", c.pattern, c.id, !c.want)
		}
	}
}

func TestADecisionOnAccessDoesNotAllocate(t *testing.T) {
	p := compiled(t, accessPolicy)
	for _, c := range []struct {
		device  policy.Device
		allowed bool
	}{{device("meter-7", "tenant=acme"), true}, {device("meter-7", "tenant=other"), false}, {device("valve-1"), false}} {
		m := &policy.Message{Method: "POST", Path: "/v1/devices/meter-7/telemetry", Device: c.device}
		if n := testing.AllocsPerRun(100, func() {
			if p.Access(m, nil).Allowed != c.allowed {
				t.Error("another verdict")
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations", c.device.ID, n)
		}
	}
}
