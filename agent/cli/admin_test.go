package cli

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/tidegate/tidegate/agent/admin"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// asked is what an agent was asked.
type asked struct {
	method, path, token string
	body                []byte
}

// answering serves one answer and tells what it was asked.
func answering(t *testing.T, status int, kind, body string) (*httptest.Server, *asked) {
	t.Helper()
	got := &asked{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body2, _ := io.ReadAll(r.Body)
		*got = asked{r.Method, r.URL.Path, r.Header.Get("Authorization"), body2}
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server, got
}

func runMain(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = Main(args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestAnswersOfTheAgentAreShownAsTables(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	answers, err := filepath.Glob("testdata/admin/*.json")
	if err != nil || len(answers) == 0 {
		t.Fatal("no answers", err)
	}
	commands := map[string][]string{
		"members": {"members"}, "regions": {"regions"}, "services": {"services", "--instances"},
		"service": {"services", "alarms"}, "policy": {"policy", "get"}, "policy-none": {"policy", "get"}, "drain": {"drain"}, "undrain": {"undrain"},
		"explain": {"explain", "post", "/v1/devices/d1/alarms"}, "explain-none": {"explain", "GET", "/nothing"},
		"regions-load": {"regions"}, "services-load": {"services"}, "explain-shed": {"explain", "PUT", "/logs"},
		"devices": {"devices", "list"}, "device": {"devices", "show", "meter-7"}, "device-kick": {"devices", "kick", "meter-7"},
		"members-faults": {"members"}, "fault-add": {"fault", "add", "loss", "from=eu-1", "to=us-1", "share=20%", "--for", "1m"}, "fault-list": {"fault", "list"},
		"region-evacuate": {"region", "evacuate", "eu-2", "--reason", "new switches", "--for", "30m"}, "region-release": {"region", "release", "eu-2"},
	}
	for _, file := range answers {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			server, _ := answering(t, http.StatusOK, "application/json", string(body))
			args := append(commands[name], "--admin", server.URL)
			status, stdout, stderr := runMain(args...)
			if status != 0 {
				t.Fatalf("status %d: %s", status, stderr)
			}
			golden(t, filepath.Join("testdata/admin", name+".golden"), stdout+stderr)
			status, raw, _ := runMain(append(args, "--json")...)
			if status != 0 || raw != strings.TrimSpace(string(body))+"\n" {
				t.Errorf("--json prints %q", raw)
			}
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestAFaultIsAskedForWithTheOperatorsToken(t *testing.T) {
	var operator string
	var told []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		operator = r.Header.Get(admin.HeaderOperator)
		told, _ = io.ReadAll(r.Body)
		_, _ = io.WriteString(w, `{"faults":[{"id":"a b"}]}`)
	}))
	defer server.Close()
	t.Setenv("TIDEGATE_OPERATOR_TOKEN", "from-the-environment")
	args := []string{"--admin", server.URL}
	add := []string{"fault", "add", "cut", "from=eu-1", "to=us-1", "one_way=true", "--for", "90s"}
	if status, _, stderr := runMain(append(add, args...)...); status != 0 {
		t.Fatal(stderr)
	}
	want := `{"id":"cut from=eu-1 to=us-1 one_way=true","fault":"cut","from":"eu-1","to":"us-1","one_way":true,"seconds":90}`
	if string(told) != want || operator != "from-the-environment" {
		t.Errorf("told %s as %q, want %s", told, operator, want)
	}
	if status, stdout, stderr := runMain(append([]string{"fault", "clear", "--operator", "from-the-flag"}, args...)...); status != 0 || stdout != "ended: a b\n" || operator != "from-the-flag" {
		t.Errorf("clear: %d %q %q, as %q", status, stdout, stderr, operator)
	}
	for says, bad := range map[string][]string{
		"FIELD=VALUE": {"cut", "eu-1"}, `no field "form"`: {"cut", "form=eu-1"}, "say for how long": {"cut", "from=a", "to=b"},
		"needs share": {"loss", "from=a", "to=b", "--for", "1s"}, `no fault "storm"`: {"storm", "--for", "1s"}, "status=many": {"service_fault", "status=many"},
	} {
		if status, _, stderr := runMain(append(append([]string{"fault", "add"}, bad...), args...)...); status != 2 || !strings.Contains(stderr, says) {
			t.Errorf("%v: %d %q, not %q", bad, status, stderr, says)
		}
	}
}

func TestExplainTellsTheAgentTheWholeMessage(t *testing.T) {
	server, got := answering(t, http.StatusOK, "application/json", `{"verdict":"ok"}`)
	t.Setenv("TIDEGATE_ADMIN", server.URL)
	t.Setenv("TIDEGATE_TOKEN", "from-the-environment")
	status, _, stderr := runMain("explain", "post", "/a?b=c", "-H", "X-Kind: alarm", "-H", "x-kind: two", "--device", "d1",
		"--property", "tenant=a", "--host", "h.example", "-d", `{"t":1}`, "--token", "from-the-flag")
	if status != 0 {
		t.Fatal(stderr)
	}
	if got.method != http.MethodPost || got.path != admin.PathExplain || got.token != "Bearer from-the-flag" {
		t.Errorf("asked %s %s with %q", got.method, got.path, got.token)
	}
	want := `{"method":"POST","host":"h.example","path":"/a?b=c","headers":{"X-Kind":["alarm","two"]},` +
		`"device":{"id":"d1","properties":{"tenant":"a"}},"payload":"{\"t\":1}"}`
	if string(got.body) != want {
		t.Errorf("body %s, want %s", got.body, want)
	}
}

func TestRegionTellsTheAgentTheOperatorsWord(t *testing.T) {
	server, got := answering(t, http.StatusOK, "application/json", `{"region":"eu-2"}`)
	for want, args := range map[string][]string{
		`{"action":"evacuate","region":"eu-2","reason":"new switches","for_seconds":1800}`: {"evacuate", "eu-2", "--reason", "new switches", "--for", "30m"},
		`{"action":"pin","region":"eu-2"}`:                                                 {"pin", "eu-2"},
		`{"action":"freeze","region":"eu-2"}`:                                              {"freeze", "eu-2"},
		`{"action":"release","region":"eu-2"}`:                                             {"release", "eu-2"},
	} {
		*got = asked{}
		status, _, stderr := runMain(append(append([]string{"region"}, args...), "--admin", server.URL, "--token", "t")...)
		if status != 0 || got.method != http.MethodPost || got.path != admin.PathOverride || got.token != "Bearer t" || string(got.body) != want {
			t.Errorf("%v: status %d %s, asked %s %s %s, want %s", args, status, stderr, got.method, got.path, got.body, want)
		}
	}
	for says, args := range map[string][]string{
		"accepts 1 arg":               {"evacuate"},
		"say what to do":              {},
		"use 1 s to 720h0m0s":         {"evacuate", "eu-2", "--for", "-1s"},
		"characters: use at most 200": {"evacuate", "eu-2", "--reason", strings.Repeat("x", 201)},
		"unknown flag: --reason":      {"release", "eu-2", "--reason", "x"},
	} {
		*got = asked{}
		status, _, stderr := runMain(append([]string{"region"}, args...)...)
		if status != 2 || !strings.Contains(stderr, says) || got.method != "" {
			t.Errorf("%v: status %d, asked %q: %s", args, status, got.method, stderr)
		}
	}
}

func TestRefusalOfTheAgentIsShownAsItsProblem(t *testing.T) {
	problem, err := json.Marshal(admin.Problem{Title: "policy refused", Status: 422, Detail: "1 fault",
		Diagnostics: []admin.Diagnostic{{File: "p.hcl", Line: 3, Column: 5, Summary: "unknown service \"x\"", Text: "forward { service = \"x\" }"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, kind, body string
		status           int
		want             string
	}{
		{"problem", admin.ProblemType, string(problem), 422, "tidegate: the agent answers 422: policy refused: 1 fault\n" +
			"p.hcl:3:5: unknown service \"x\"\n  3 | forward { service = \"x\" }\n"},
		{"token", "text/plain", "no", 401, "tidegate: the agent answers 401: Unauthorized (--token, TIDEGATE_TOKEN)\n"},
		{"redirect", "text/html", "<html>", 302, "tidegate: the agent answers 302: Found\n"},
		{"not JSON", "application/json", "<html>", 200, "is not what this version understands"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, _ := answering(t, c.status, c.kind, c.body)
			status, stdout, stderr := runMain("members", "--admin", server.URL)
			if status != 1 || stdout != "" || !strings.Contains(stderr, c.want) {
				t.Errorf("status %d, %q, %q, want 1 and %q", status, stdout, stderr, c.want)
			}
		})
	}
}

func TestPolicyApplySendsOnlyAValidPolicyAndReportsStragglers(t *testing.T) {
	t.Chdir(t.TempDir())
	write := func(name, source string) {
		if err := os.WriteFile(name, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("good.hcl", "service \"a\" {}\n")
	write("bad.hcl", "service \"a\" {\n  tmeout = \"1s\"\n}\n")
	server, got := answering(t, http.StatusOK, "application/json",
		`{"version":"0123456789ab","datacenters":[{"name":"eu-1"},{"name":"eu-2","error":"no leader"}]}`)
	status, _, stderr := runMain("policy", "apply", "bad.hcl", "--admin", server.URL)
	if status != 2 || got.method != "" || !strings.Contains(stderr, "bad.hcl:2:3") {
		t.Errorf("bad policy: status %d, %s, asked %+v", status, stderr, got)
	}
	status, stdout, stderr := runMain("policy", "apply", "good.hcl", "--admin", server.URL)
	if status != 1 || !strings.Contains(stderr, "1 of 2 datacenters keep the old policy") || !strings.Contains(stdout, "no leader") {
		t.Errorf("straggler: status %d, %q, %q", status, stdout, stderr)
	}
	status, stdout, _ = runMain("policy", "apply", "good.hcl", "--json", "--admin", server.URL)
	if status != 1 || !strings.HasPrefix(stdout, `{"version"`) {
		t.Errorf("straggler with --json: status %d, %q", status, stdout)
	}
	if got.method != http.MethodPut || string(got.body) != `{"files":[{"name":"good.hcl","source":"service \"a\" {}\n"}]}` {
		t.Errorf("asked %s %s", got.method, got.body)
	}
}

func TestAgentIsAskedThroughItsSocket(t *testing.T) {
	dir := t.TempDir()
	listener, err := net.Listen("unix", filepath.Join(dir, "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"agent":"`+r.Host+`","draining":true,"in_flight":3}`)
	})}}
	server.Start()
	defer server.Close()
	status, stdout, stderr := runMain("drain", "--admin", "unix://"+filepath.Join(dir, "admin.sock"))
	if status != 0 || stdout != "localhost is draining, 0 connections, 3 in flight\n" {
		t.Errorf("status %d, %q, %q", status, stdout, stderr)
	}
}

func TestTextOfOthersCannotSteerTheTerminal(t *testing.T) {
	server, _ := answering(t, http.StatusOK, "application/json", `{"verdict":"a\u001b[2Jb\nc"}`)
	if _, stdout, _ := runMain("explain", "GET", "/", "--admin", server.URL); strings.ContainsAny(stdout, "\x1b") {
		t.Errorf("%q", stdout)
	}
}
