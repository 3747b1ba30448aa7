package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/policy"
)

// fixedAgent answers what it was made with.
type fixedAgent struct{ ready bool }

func (f fixedAgent) Ready() (bool, string) {
	if f.ready {
		return true, "ready"
	}
	return false, "draining"
}
func (fixedAgent) Members() MembersAnswer   { return MembersAnswer{Self: "a1"} }
func (fixedAgent) Regions() RegionsAnswer   { return RegionsAnswer{} }
func (fixedAgent) Services() ServicesAnswer { return ServicesAnswer{} }
func (fixedAgent) Policy() PolicyAnswer     { return PolicyAnswer{Version: "v"} }
func (fixedAgent) Explain(in ExplainRequest) (ExplainAnswer, error) {
	if in.Path == "" {
		return ExplainAnswer{}, fmt.Errorf("explain: %w: no path", policy.ErrInvalid)
	}
	return ExplainAnswer{Verdict: in.Method + " " + in.Path}, nil
}
func (fixedAgent) ApplyPolicy(_ context.Context, in PolicyApply) (PolicyApplied, error) {
	_, err := policy.Parse(policy.File{Name: in.Files[0].Name, Src: []byte(in.Files[0].Source)})
	return PolicyApplied{}, err
}
func (fixedAgent) SetDraining(_ context.Context, on bool, _ float64) DrainAnswer {
	return DrainAnswer{Draining: on}
}
func (fixedAgent) Devices(after string, limit int) DevicesAnswer {
	return DevicesAnswer{Total: limit, Next: after}
}
func (fixedAgent) Device(_ context.Context, id string, kick bool) DeviceAnswer {
	return DeviceAnswer{Device: fmt.Sprint(id, kick)}
}
func (fixedAgent) Override(_ context.Context, in OverrideRequest) (OverrideAnswer, error) {
	if err := in.Check(); err != nil {
		return OverrideAnswer{}, err
	}
	if in.Region == "mars-1" {
		return OverrideAnswer{}, fmt.Errorf("%w: no region %q", ErrNotFound, in.Region)
	}
	return OverrideAnswer{Region: in.Region, Override: &Override{Kind: in.Action, Reason: in.Reason}}, nil
}

func ask1(t *testing.T, h http.Handler, method, path, body string, change func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.Host = "127.0.0.1:7400"
	req.Header.Set("Authorization", "Bearer secret-secret-16")
	if change != nil {
		change(req)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec
}

func TestControlIsForThisMachineAndWithTheTokenOnly(t *testing.T) {
	guard := Guard{Token: "secret-secret-16", Hosts: []string{"gate.example"}}
	h := guard.Wrap(NewHandler(fixedAgent{ready: true}, http.NotFoundHandler(), nil, ""))
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	token := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", value) }
	}
	cases := []struct {
		name, path string
		change     func(*http.Request)
		want       int
	}{
		{"good", PathMembers, nil, 200},
		{"localhost", PathMembers, host("localhost:1"), 200},
		{"IPv6 loopback", PathMembers, host("[::1]:7400"), 200},
		{"configured name", PathMembers, host("GATE.example:7400"), 200},
		{"a web page's name", PathMembers, host("evil.example"), 421},
		{"a private address", PathMembers, host("10.0.0.1:7400"), 421},
		{"no token", PathMembers, token(""), 401},
		{"wrong token", PathMembers, token("Bearer secret-secret-17"), 401},
		{"token without its scheme", PathMembers, token("secret-secret-16"), 401},
		{"readiness without token", PathReady, token(""), 200},
		{"health without token", PathHealth, token(""), 200},
		{"metrics need it", PathMetrics, token(""), 401},
		{"operators' words need it", PathOverride, token(""), 401},
		{"profiles need it", PathProfiles, token(""), 401},
		{"readiness checks Host too", PathReady, host("evil.example"), 421},
	}
	for _, c := range cases {
		if rec := ask1(t, h, "GET", c.path, "", c.change); rec.Code != c.want {
			t.Errorf("%s: status %d, want %d", c.name, rec.Code, c.want)
		}
	}
}

func TestReadinessSaysWhyNot(t *testing.T) {
	h := NewReadyHandler(fixedAgent{})
	if rec := ask1(t, h, "GET", PathReady, "", nil); rec.Code != http.StatusServiceUnavailable || rec.Body.String() != "draining\n" {
		t.Errorf("status %d %q", rec.Code, rec.Body.String())
	}
	if rec := ask1(t, h, "GET", PathMembers, "", nil); rec.Code != http.StatusNotFound {
		t.Errorf("the readiness listener answers %s with %d", PathMembers, rec.Code)
	}
}

func TestErrorsAreProblemsWithTheFaultyLine(t *testing.T) {
	h := NewHandler(fixedAgent{}, http.NotFoundHandler(), nil, "")
	cases := []struct {
		name, method, path, body string
		want                     int
		says                     string
	}{
		{"good question", "POST", PathExplain, `{"method":"GET","path":"/x"}`, 200, "GET /x"},
		{"not JSON", "POST", PathExplain, `{`, 400, "read request"},
		{"unknown field", "POST", PathExplain, `{"way":"/x"}`, 400, "way"},
		{"bad question", "POST", PathExplain, `{}`, 422, "no path"},
		{"bad policy", "PUT", PathPolicy, `{"files":[{"name":"p.hcl","source":"service \"x\" {\n speed = 1\n}"}]}`, 422, "speed"},
		{"good word", "POST", PathOverride, `{"action":"evacuate","region":"eu-2","reason":"r","for_seconds":60}`, 200, `"kind":"evacuate"`},
		{"word on nothing", "POST", PathOverride, `{"action":"pin","region":"mars-1"}`, 404, `no region \"mars-1\"`},
		{"word without region", "POST", PathOverride, `{"action":"pin"}`, 422, "say which region"},
		{"unknown word", "POST", PathOverride, `{"action":"sink","region":"eu-2"}`, 422, "use evacuate, pin, freeze or release"},
		{"word for ever and a day", "POST", PathOverride, `{"action":"pin","region":"a","for_seconds":1e9}`, 422, "or 0 for until released"},
		{"word for the past", "POST", PathOverride, `{"action":"pin","region":"a","for_seconds":-1}`, 422, "or 0 for until released"},
		{"reasoned release", "POST", PathOverride, `{"action":"release","region":"a","reason":"r"}`, 422, "neither a reason nor a time"},
		{"long reason", "POST", PathOverride, `{"action":"pin","region":"a","reason":"` + strings.Repeat("x", maxReason+1) + `"}`, 422, "201 characters"},
		{"too large", "POST", PathExplain, `{"path":"` + strings.Repeat("x", maxBody) + `"}`, 400, "too large"},
	}
	for _, c := range cases {
		rec := ask1(t, h, c.method, c.path, c.body, nil)
		if rec.Code != c.want || !strings.Contains(rec.Body.String(), c.says) {
			t.Errorf("%s: status %d, want %d: %s", c.name, rec.Code, c.want, rec.Body)
		}
		if rec.Code >= 400 && rec.Header().Get("Content-Type") != ProblemType {
			t.Errorf("%s: content type %q", c.name, rec.Header().Get("Content-Type"))
		}
	}
	var p Problem
	rec := ask1(t, h, "PUT", PathPolicy, cases[4].body, nil)
	if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || len(p.Diagnostics) == 0 || p.Diagnostics[0].Line != 2 {
		t.Errorf("diagnostics %+v, %v; want line 2", p.Diagnostics, err)
	}
}
