package test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/test/mesh"
)

func nginxServesAllRegions(t *testing.T, m *mesh.Mesh) {
	const size = 1 << 20
	m.Region("eu-2").ServeNginx(t, mesh.Spec{Service: "web", ID: "web-1"}, size)
	m.AwaitWhole(t)
	for _, a := range m.Agents() {
		device := a.Device(t, "", nil)
		ans := device.Do(t, mesh.Request{Path: "/web/hello", Header: map[string]string{"X-Device": "d7"}})
		if ans.Status != http.StatusOK || ans.Body != "nginx says hello to d7 over HTTP/1.1" || !strings.HasPrefix(ans.Header.Get("Server"), "nginx") {
			t.Errorf("at %s: %d %q from %q", a.Name, ans.Status, ans.Body, ans.Header.Get("Server"))
		}
		if ans := device.Get(t, "/web/files/big"); sha256.Sum256([]byte(ans.Body)) != sha256.Sum256(mesh.Pattern(size)) {
			t.Errorf("at %s: of %d bytes %d came, or others", a.Name, size, len(ans.Body))
		}
		if ans := device.Get(t, "/web/absent"); ans.Status != http.StatusNotFound || !strings.Contains(ans.Body, "nginx") {
			t.Errorf("at %s: nginx's own refusal is %d %q", a.Name, ans.Status, ans.Body)
		}
	}
}

func egressReachesTheMesh(t *testing.T, m *mesh.Mesh) {
	for _, a := range m.Agents() {
		ans, err := a.Egress(t.Context(), "echo", "/any/path?q=1")
		if err != nil {
			t.Fatalf("at %s: %v", a.Name, err)
		}
		if ans.Status != http.StatusOK || ans.Echo.Region != a.Region.Name || ans.Echo.Path != "/any/path" || ans.Echo.Query != "q=1" {
			t.Errorf("at %s: %d, saw %+v", a.Name, ans.Status, ans.Echo)
		}
	}
	eu2 := m.Region("eu-2").Agents[0]
	if ans, err := eu2.Egress(t.Context(), "depot", "/"); err != nil || ans.Echo.Region != "eu-1" {
		t.Errorf("depot through egress in eu-2: %+v, %v, want eu-1", ans, err)
	}
	if ans, err := eu2.Egress(t.Context(), "unknown", "/"); err != nil || ans.Status != http.StatusNotFound {
		t.Errorf("a service nobody has: %+v, %v", ans, err)
	}
}

// curl runs curl against an edge's TCP port with the mesh's authority.
func curl(t *testing.T, a *mesh.Agent, args ...string) (header, body string) {
	t.Helper()
	path := mesh.Tool(t, "curl", "curl")
	var stdout, stderr bytes.Buffer
	headers := filepath.Join(t.TempDir(), "headers")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append([]string{"-sS", "--cacert", a.CAFile(), "-D", headers}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v: %s", cmd.Args, err, stderr.String())
	}
	raw, err := os.ReadFile(headers)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw), stdout.String()
}

func curlUsesTCP(t *testing.T, m *mesh.Mesh) {
	a := m.Region("us-1").Agents[0]
	_, port, err := net.SplitHostPort(a.EdgeAddr())
	if err != nil {
		t.Fatal(err)
	}
	for protocol, flag := range map[string]string{"HTTP/2 200": "--http2", "HTTP/1.1 200": "--http1.1"} {
		header, body := curl(t, a, flag, "https://"+a.EdgeAddr()+"/v1/devices/d7/readings")
		header = strings.ToLower(header)
		if !strings.HasPrefix(header, strings.ToLower(protocol)) || !strings.Contains(header, "x-served-by: us-1/") || !strings.Contains(body, "/ingest/d7") {
			t.Errorf("curl %s: %s%s", flag, header, body)
		}
		if !strings.Contains(header, `alt-svc: h3=":`+port+`"`) {
			t.Errorf("curl %s is not told of HTTP/3 on port %s: %s", flag, port, header)
		}
	}
	if _, body := curl(t, a, "--data", `{"temperature": 99.5, "unit": "C"}`, "https://"+a.EdgeAddr()+"/v1/telemetry"); !strings.Contains(body, "temperature") {
		t.Errorf("curl's POST: %s", body)
	}
}

// foreignHTTP3ClientIsServed uses a QUIC and HTTP/3 implementation that shares
// nothing with ours: ngtcp2 and nghttp3.
func foreignHTTP3ClientIsServed(t *testing.T, m *mesh.Mesh) {
	a, large := m.Region("eu-1").Agents[0], strings.Repeat("large", 1<<20/5)
	for _, c := range []struct {
		path, want string
		args       []string
	}{
		{"/hello", "this is the edge", nil},
		{"/v1/devices/d7/readings", `"Path":"/ingest/d7"`, nil},
		{"/v1/telemetry", `"Body":"{\"temperature\": 99.5, \"unit\": \"C\"}"`,
			[]string{"--http-method=POST", "--data=" + mesh.File(t, "reading.json", `{"temperature": 99.5, "unit": "C"}`)}},
		{"/v1/devices/d7/readings", large, []string{"--http-method=POST", "--data=" + mesh.File(t, "large", large)}},
	} {
		if status, body := gtlsclient(t, a, c.path, c.args...); status != "200" || !strings.Contains(body, c.want) {
			t.Errorf("gtlsclient %v %s: status %s, %.1000q", c.args, c.path, status, body)
		}
	}
}

func gtlsclient(t *testing.T, a *mesh.Agent, path string, args ...string) (status, body string) {
	t.Helper()
	program, into := mesh.Tool(t, "gtlsclient", "ngtcp2-client"), t.TempDir()
	host, port, err := net.SplitHostPort(a.EdgeAddr())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, slices.Concat([]string{"--no-quic-dump", "--no-http-dump", "--exit-on-all-streams-close",
		"--download=" + into}, args, []string{host, port, "https://" + a.EdgeAddr() + path})...)
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", cmd.Args, err, said)
	}
	raw, err := os.ReadFile(filepath.Join(into, filepath.Base(path)))
	if err != nil {
		t.Fatalf("%v brought no body: %v: %s", cmd.Args, err, said)
	}
	if _, after, found := strings.Cut(string(said), "[:status: "); found {
		status, _, _ = strings.Cut(after, "]")
	}
	return status, string(raw)
}
