package policy_test

import (
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
)

const wholeLanguage = `
service "telemetry" {
  timeout      = "2s"
  beyond_group = true

  subset "canary" {
    tags = ["canary", "eu"]
    meta = { version = "2" }
  }
  subset "stable" {
    meta = { version = "1" }
  }
}

service "alarms" {
  failover = ["eu-2", "us-1"]
}

service "local" {
  failover = "none"
  limit {
    in_flight = 64
    adaptive  = false
  }
  quota {
    by    = "tenant"
    share = "50%"
  }
}

route "alarms" {
  match {
    methods       = ["POST"]
    host          = "*.Example.com"
    path          = "/v1/devices/{id}/alarms"
    headers       = { "x-kind" = "alarm", "X-Site" = "*" }
    when          = "payload.temp > 50"
    payload_limit = "16KiB"
  }
  class   = "critical"
  regions = ["eu-1", "eu-2"]
  forward {
    service = "telemetry"
    subset  = "canary"
    weight  = 10
  }
  forward {
    service = "alarms"
    weight  = 90
  }
  sticky = "device"
  retry {
    attempts   = 3
    idempotent = true
  }
}

route "gathered" {
  match {
    path = "/gathered/{id}"
  }
  forward {
    service = "alarms"
  }
  rewrite {
    path = "/events"
  }
  batch {
    messages = 50
    bytes    = "64KiB"
    wait     = "5ms"
  }
}

route "gathered_by_default" {
  match {
    path = "/gathered"
  }
  forward {
    service = "alarms"
  }
  batch {}
}

route "unsafe" {
  match {
    path = "/unsafe"
  }
  timeout = "1s"
  forward {
    service = "telemetry"
  }
  retry {
    attempts   = 1
    idempotent = false
  }
}

route "other" {
  anonymous = true
  forward {
    service = "local"
  }
}

access "meters" {
  devices    = ["meter-*"]
  properties = { tenant = "acme", site = "*" }
  when       = "device.fw >= '2'"
  audit      = true
  allow {
    methods = ["POST"]
    path    = "/v1/devices/x-${device.id}/{rest...}"
  }
  limit {
    by    = "tenant"
    rate  = "10/s"
    burst = 50
  }
}

deny {
  devices = ["meter-13", "stolen-*"]
}

route "health" {
  match {
    path = "/health"
  }
  respond {
    status = 204
  }
}
`

func TestEveryKeyReachesTheCompiledPolicy(t *testing.T) {
	p := compiled(t, wholeLanguage)
	routes := map[string]*policy.Route{}
	for _, r := range p.Routes() {
		routes[r.Name] = r
	}
	r := routes["alarms"]
	same(t, "match", r.Match, policy.Match{
		Methods: []string{"POST"}, Host: "*.example.com", Path: "/v1/devices/{id}/alarms",
		Headers:      []policy.HeaderMatch{{Name: "X-Kind", Value: "alarm"}, {Name: "X-Site", Any: true}},
		When:         "payload.temp > 50",
		PayloadLimit: 16 << 10,
	})
	same(t, "class", r.Class, policy.Critical)
	same(t, "regions", r.Regions, []string{"eu-1", "eu-2"})
	same(t, "forward", r.Forward, []policy.Forward{
		{Target: policy.Target{Service: "telemetry", Subset: "canary"}, Weight: 10},
		{Target: policy.Target{Service: "alarms"}, Weight: 90},
	})
	same(t, "sticky", r.Sticky, true)
	same(t, "retry", r.Retry, policy.Retry{Attempts: 3, Idempotent: policy.IdempotentAlways})
	same(t, "longest timeout of the split", r.Timeout, policy.DefaultTimeout)
	same(t, "place", r.Place, "policy.hcl:31")

	same(t, "batch", *routes["gathered"].Batch, policy.Batch{Messages: 50, Bytes: 64 << 10, Wait: 5 * time.Millisecond})
	same(t, "default batch", *routes["gathered_by_default"].Batch, policy.Batch{Messages: 100, Bytes: 256 << 10, Wait: 20 * time.Millisecond})
	same(t, "no batch", r.Batch == nil, true)
	same(t, "own timeout", routes["unsafe"].Timeout, time.Second)
	same(t, "not idempotent", routes["unsafe"].Retry, policy.Retry{Attempts: 1, Idempotent: policy.IdempotentNever})
	same(t, "defaults", routes["other"].Retry, policy.Retry{Attempts: 2, Idempotent: policy.IdempotentByMethod})
	same(t, "default class", routes["other"].Class, policy.Normal)
	same(t, "only forward", routes["other"].Forward[0].Weight, 100)
	same(t, "respond", routes["health"].Respond.Status, 204)
	same(t, "no timeout to respond", routes["health"].Timeout, time.Duration(0))
}

func TestServicesAndTargets(t *testing.T) {
	p := compiled(t, wholeLanguage)
	s := p.Services()
	same(t, "telemetry", s["telemetry"].Timeout, 2*time.Second)
	same(t, "nearest", s["telemetry"].Failover, policy.Failover{BeyondGroup: true})
	same(t, "list", s["alarms"].Failover, policy.Failover{Mode: policy.FailoverList, Regions: []string{"eu-2", "us-1"}})
	same(t, "none", s["local"].Failover, policy.Failover{Mode: policy.FailoverNone})
	same(t, "hard limit", s["local"].InFlight, 64)
	same(t, "no hard limit", s["alarms"].InFlight, 0)
	same(t, "quota", s["local"].Quota, policy.QuotaRule{By: "tenant", Share: 0.5})
	same(t, "adaptive limit off", s["local"].Fixed, true)
	same(t, "adaptive limit", s["alarms"].Fixed, false)
	same(t, "no quota", s["alarms"].Quota, policy.QuotaRule{})
	var names []string
	for _, target := range p.Targets() {
		names = append(names, target.String())
	}
	same(t, "targets", names, []string{"alarms", "local", "telemetry", "telemetry/canary", "telemetry/stable"})
}

func TestAQuotaIsCountedByThePropertyThatItNames(t *testing.T) {
	d := &policy.Device{ID: "d-1", Properties: map[string]string{"tenant": "acme", "id": "forged"}}
	same(t, "tenant", policy.QuotaRule{By: "tenant"}.Tenant(d), "acme")
	same(t, "device", policy.QuotaRule{By: "id"}.Tenant(d), "d-1")
	same(t, "without the property", policy.QuotaRule{By: "site"}.Tenant(d), "")
	same(t, "without properties", policy.QuotaRule{By: "tenant"}.Tenant(&policy.Device{}), "")
}

func TestSubsetAsksForEveryTagAndMeta(t *testing.T) {
	canary := compiled(t, wholeLanguage).Services()["telemetry"].Subsets["canary"]
	two, one := map[string]string{"version": "2", "x": "y"}, map[string]string{"version": "1"}
	for _, c := range []struct {
		tags []string
		meta map[string]string
		want bool
	}{
		{[]string{"eu", "x", "canary"}, two, true},
		{[]string{"canary"}, two, false},
		{[]string{"eu", "canary"}, one, false},
		{[]string{"eu", "canary"}, nil, false},
		{nil, two, false},
	} {
		same(t, "matches", canary.Matches(c.tags, c.meta), c.want)
	}
}

func TestJSONFormSaysTheSame(t *testing.T) {
	hcl := compiled(t, `
service "a" {
  failover = ["eu-1"]
  subset "canary" {
    tags = ["c"]
  }
  limit {
    in_flight = 8
  }
  quota {
    by    = "tenant"
    share = "1%"
  }
}
route "r" {
  match {
    path    = "/{id}"
    headers = { "X-A" = "*" }
    when    = "captures.id == \"1\""
  }
  forward {
    service = "a"
    subset  = "canary"
    weight  = 10
  }
  forward {
    service = "a"
    weight  = 90
  }
  rewrite {
    path = "/x/{id}"
  }
}`)
	src := `{
  "service": {"a": {"failover": ["eu-1"], "subset": {"canary": {"tags": ["c"]}},
    "limit": {"in_flight": 8}, "quota": {"by": "tenant", "share": "1%"}}},
  "route": {"r": {
    "match": {"path": "/{id}", "headers": {"X-A": "*"}, "when": "captures.id == \"1\""},
    "forward": [{"service": "a", "subset": "canary", "weight": 10}, {"service": "a", "weight": 90}],
    "rewrite": {"path": "/x/{id}"}
  }}
}`
	p, err := policy.Parse(policy.File{Name: "policy.json", Src: []byte(src)})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "services", p.Services(), hcl.Services())
	same(t, "match", p.Routes()[0].Match, hcl.Routes()[0].Match)
	same(t, "forward", p.Routes()[0].Forward, hcl.Routes()[0].Forward)
	m := &policy.Message{Path: "/1", Header: map[string][]string{"X-A": {"b"}}}
	same(t, "decision", p.Decide(m, 0, nil).Path, "/x/1")
}

func TestVersionIsOfTheContentAlone(t *testing.T) {
	src := []byte("service \"a\" {}\n")
	sum := sha256.Sum256(src)
	a, err := policy.Parse(policy.File{Name: "a.hcl", Src: src})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "version", a.Version(), hex.EncodeToString(sum[:])[:12])
	b, _ := policy.Parse(policy.File{Name: "b.hcl", Src: src})
	same(t, "under another name", b.Version(), a.Version())
	c, _ := policy.Parse(policy.File{Name: "a.hcl", Src: append([]byte("#\n"), src...)})
	if c.Version() == a.Version() {
		t.Error("another content has the same version")
	}
}

func TestSourceIsWhatWasGivenAndCannotBeChanged(t *testing.T) {
	src := []byte("service \"a\" {}\n")
	p, err := policy.Parse(policy.File{Name: "a.hcl", Src: src}, policy.File{Name: "b.hcl", Src: []byte("# nothing\n")})
	if err != nil {
		t.Fatal(err)
	}
	src[0] = 'X'
	got := p.Source()
	same(t, "source", string(got[0].Src), "service \"a\" {}\n")
	got[1].Src[0] = 'X'
	same(t, "source of the second", string(p.Source()[1].Src), "# nothing\n")
}

func TestFilesAreReadAsOne(t *testing.T) {
	p, err := policy.Parse(
		policy.File{Name: "routes.hcl", Src: []byte("route \"r\" {\n  forward {\n    service = \"a\"\n  }\n}\n")},
		policy.File{Name: "services.hcl", Src: []byte("service \"a\" {}\n")})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "place", p.Routes()[0].Place, "routes.hcl:1")
}

func TestZeroPolicyMatchesNothing(t *testing.T) {
	p := &policy.Policy{}
	trace := &policy.Trace{}
	d := p.Decide(&policy.Message{Host: "h", Path: "/x"}, 0, trace)
	if d.Route != nil || d.Path != "/x" || d.Captures() != nil || p.PayloadLimit(&policy.Message{Path: "/x"}) != 0 {
		t.Errorf("got %+v", d)
	}
	d.ApplyRequest(nil)
	d.ApplyResponse(nil)
	same(t, "reason", reasonFor(trace, "(none)"), "no route matches")
}

func TestExplanationOfALargePolicyIsBounded(t *testing.T) {
	p := compiled(t, string(manyRoutes(1000)))
	trace := &policy.Trace{}
	p.Decide(&policy.Message{Path: "/r999"}, 0, trace)
	if n := len(trace.Steps); n > 210 {
		t.Errorf("%d steps", n)
	}
	same(t, "taken", slices.ContainsFunc(trace.Steps, func(s policy.Step) bool { return s.Taken && s.Subject == "r999" }), true)
	same(t, "the rest is counted", reasonFor(trace, "799 more routes"), "their host or path differs")
}

func TestDecisionsOfOneMessageDoNotShareHeaders(t *testing.T) {
	p := compiled(t, "service \"a\" {}\nroute \"r\" {\n  forward {\n    service = \"a\"\n  }\n  rewrite {\n    set_headers = { \"X-A\" = \"1\" }\n  }\n}\n")
	d := p.Decide(&policy.Message{Path: "/"}, 0, nil)
	one, two := map[string][]string{}, map[string][]string{}
	d.ApplyRequest(one)
	one["X-A"][0] = "changed"
	d.ApplyRequest(two)
	if !reflect.DeepEqual(two["X-A"], []string{"1"}) {
		t.Errorf("got %v", two)
	}
}
