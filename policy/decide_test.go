package policy_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// decideCase is a row of testdata/decide/*.json: a message, and what the policy
// beside it must say. Fields left out of want are not looked at, except route,
// target and failed.
type decideCase struct {
	Name    string
	Message struct {
		Method, Host, Path, Query string
		Headers, ResponseHeaders  map[string][]string
		Device                    policy.Device
		Payload                   *string
	}
	RNG  string
	Want struct {
		Route           string
		Target          *string
		Class, Timeout  string
		Path            string
		Query           string
		Host            string
		Failed          int
		Captures        map[string]string
		RequestHeaders  map[string][]string
		ResponseHeaders map[string][]string
		Respond         *policy.Respond
		Reasons         map[string]string // subject → part of the reason
	}
}

func (c *decideCase) message() *policy.Message {
	m := &policy.Message{
		Method: c.Message.Method, Host: c.Message.Host, Path: c.Message.Path, Query: c.Message.Query,
		Header: c.Message.Headers, Device: c.Message.Device,
	}
	if m.Method == "" {
		m.Method = "GET"
	}
	if c.Message.Payload != nil {
		m.Payload = []byte(*c.Message.Payload)
	}
	return m
}

func TestDecisionTables(t *testing.T) {
	files, err := filepath.Glob("testdata/decide/*.hcl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tables: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { runTable(t, file) })
	}
}

func runTable(t *testing.T, file string) {
	p := policyOf(t, file)
	raw, err := os.ReadFile(strings.TrimSuffix(file, ".hcl") + ".json")
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.DisallowUnknownFields()
	var cases []decideCase
	if err := decoder.Decode(&cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) { c.check(t, p) })
	}
}

func policyOf(t testing.TB, file string) *policy.Policy {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return compiled(t, string(src))
}

func compiled(t testing.TB, src string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse(policy.File{Name: "policy.hcl", Src: []byte(src)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (c *decideCase) check(t *testing.T, p *policy.Policy) {
	rng, _ := strconv.ParseUint(c.RNG, 10, 64)
	trace := &policy.Trace{}
	d := p.Decide(c.message(), rng, nil)
	explained := p.Decide(c.message(), rng, trace)
	if !reflect.DeepEqual(d, explained) {
		t.Errorf("with a trace: %+v, without: %+v", explained, d)
	}
	same(t, "route", routeName(d), c.Want.Route)
	same(t, "failed", d.Failed, c.Want.Failed)
	if c.Want.Target != nil {
		same(t, "target", d.Target.String(), *c.Want.Target)
	}
	if c.Want.Timeout != "" {
		want, err := time.ParseDuration(c.Want.Timeout)
		same(t, "timeout", d.Timeout, want)
		same(t, "bad timeout in the table", err, nil)
	}
	c.checkRewrites(t, d)
	c.checkReasons(t, trace)
}

func (c *decideCase) checkRewrites(t *testing.T, d policy.Decision) {
	if c.Want.Class != "" {
		same(t, "class", d.Route.Class.String(), c.Want.Class)
	}
	if c.Want.Path != "" {
		same(t, "path", d.Path, c.Want.Path)
	}
	if c.Want.Query != "" {
		same(t, "query", d.Query, c.Want.Query)
	}
	if c.Want.Host != "" {
		same(t, "host", d.Host, c.Want.Host)
	}
	if c.Want.Captures != nil {
		same(t, "captures", d.Captures(), c.Want.Captures)
	}
	if c.Want.Respond != nil {
		same(t, "respond", d.Route.Respond, c.Want.Respond)
	}
	c.checkHeaders(t, d)
}

func (c *decideCase) checkHeaders(t *testing.T, d policy.Decision) {
	if c.Want.RequestHeaders != nil {
		h := orEmpty(c.Message.Headers)
		d.ApplyRequest(h)
		same(t, "request headers", h, c.Want.RequestHeaders)
	}
	if c.Want.ResponseHeaders != nil {
		h := orEmpty(c.Message.ResponseHeaders)
		d.ApplyResponse(h)
		same(t, "response headers", h, c.Want.ResponseHeaders)
	}
}

func orEmpty(h map[string][]string) map[string][]string {
	if h == nil {
		return map[string][]string{}
	}
	return h
}

func (c *decideCase) checkReasons(t *testing.T, trace *policy.Trace) {
	taken := 0
	for _, s := range trace.Steps {
		if s.Reason == "" {
			t.Errorf("no reason for %s %s", s.Stage, s.Subject)
		}
		if s.Stage == "route" && s.Taken {
			taken++
			same(t, "route taken in the trace", s.Subject, c.Want.Route)
		}
	}
	same(t, "a route was taken in the trace", taken == 1, c.Want.Route != "")
	for subject, part := range c.Want.Reasons {
		if reason := reasonFor(trace, subject); !strings.Contains(reason, part) {
			t.Errorf("reason for %s: %q, want %q in it", subject, reason, part)
		}
	}
}

func reasonFor(trace *policy.Trace, subject string) string {
	for _, s := range trace.Steps {
		if s.Subject == subject {
			return s.Reason
		}
	}
	return ""
}

func routeName(d policy.Decision) string {
	if d.Route == nil {
		return ""
	}
	return d.Route.Name
}

func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %#v, want %#v", what, got, want)
	}
}
