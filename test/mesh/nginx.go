package mesh

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/tidegate/tidegate/test/child"
)

// RequireEnv, set to "1", makes a missing program a failure instead of a skip.
const RequireEnv = "TIDEGATE_REQUIRE_TOOLS"

// Tool returns the path of a program; without it the test is skipped, or failed
// where RequireEnv asks for that.
func Tool(t testing.TB, name, debianPackage string) string {
	t.Helper()
	for _, candidate := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	Missing(t, fmt.Sprintf("%s is not installed (Debian package %s)", name, debianPackage))
	return ""
}

// Missing skips the test for want of something, or fails it where RequireEnv
// asks for that.
func Missing(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv(RequireEnv) == "1" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

const nginxConf = `daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
  server {
    listen %[2]s;
    root %[1]s;
    location = /health { return 204; }
    location = /hello { return 200 "nginx says hello to $http_x_device over $server_protocol"; }
    location /files/ { alias %[1]s/; }
  }
}`

// ServeNginx runs nginx with a file of so many bytes at /files/big, registers
// it as the service and ends both with the test.
func (r *Region) ServeNginx(t testing.TB, spec Spec, size int) *Instance {
	t.Helper()
	path := Tool(t, "nginx", "nginx-light")
	dir := t.TempDir()
	tcp, udp := hold(t, r.IP)
	addr := tcp.Addr().String()
	tcp.Close()
	udp.Close()
	conf := filepath.Join(dir, "nginx.conf")
	for name, content := range map[string][]byte{conf: fmt.Appendf(nil, nginxConf, dir, addr), filepath.Join(dir, "big"): Pattern(size)} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := child.Start(exec.Command(path, "-e", dir+"/error.log", "-p", dir, "-c", conf), filepath.Join(dir, "log"))
	if err != nil {
		t.Fatalf("start nginx: %v", err)
	}
	t.Cleanup(p.Kill)
	Await(t, 10*time.Second, func() string {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return "nginx listens: " + err.Error()
		}
		conn.Close()
		return ""
	})
	i := &Instance{spec: spec, region: r, addr: addr}
	i.healthy.Store(true)
	i.enlist(t)
	return i
}

// Pattern is size bytes that differ from place to place.
func Pattern(size int) []byte {
	out := make([]byte, size)
	for i := range out {
		out[i] = 'a' + byte(i/251%26)
	}
	return out
}
