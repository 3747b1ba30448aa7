package upstream

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// nginxConf: keepalive_requests makes nginx end connections by itself.
const nginxConf = `daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 64; }
http {
  access_log off; keepalive_requests 3; client_max_body_size 1m;
  client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
  server {
    listen %[2]s;
    root %[1]s;
    location = /hello { return 200 "hello $http_host $request_method $http_x_device"; }
    location = /nothing { return 204; }
    location = /small { client_max_body_size 1k; proxy_pass http://127.0.0.1:1; }
  }
}`

func startNginx(t *testing.T) string {
	path, err := exec.LookPath("nginx")
	if err != nil {
		if path = "/usr/sbin/nginx"; !executable(path) {
			if os.Getenv("TIDEGATE_REQUIRE_TOOLS") == "1" {
				t.Fatal("nginx is not installed: make tools")
			}
			t.Skip("nginx is not installed (Debian package nginx-light)")
		}
	}
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	conf := filepath.Join(dir, "nginx.conf")
	os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, addr), 0o600)
	os.WriteFile(filepath.Join(dir, "file"), bytes.Repeat([]byte("x"), 300<<10), 0o600)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path, "-e", dir+"/error.log", "-p", dir, "-c", conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); cmd.Wait() })
	eventually(t, "nginx listens", func() bool {
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
	return addr
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}

func TestNginxUnderstandsUsAndWeIt(t *testing.T) {
	addr := startNginx(t)
	c := newClient(t, Config{HeaderTimeout: patience})
	for range 10 {
		req := &Request{Method: "POST", RequestURI: "/hello", Host: "svc", Bytes: []byte("x"), Header: map[string][]string{"X-Device": {"d1"}}}
		if resp, got := mustRead(t, c, addr, req); resp.Status != 200 || got != "hello svc POST d1" {
			t.Fatalf("got %d %q", resp.Status, got)
		}
	}
	if s := c.Stats(); s.Dialed != 4 || s.Stale != 0 {
		t.Errorf("nginx ends a connection after 3 requests: %+v", s)
	}
	if resp, got := mustRead(t, c, addr, &Request{RequestURI: "/file"}); len(got) != 300<<10 || resp.ContentLength != 300<<10 {
		t.Errorf("file: %d of %d bytes", len(got), resp.ContentLength)
	}
	if resp, got := mustRead(t, c, addr, &Request{Method: "HEAD", RequestURI: "/file"}); got != "" || resp.ContentLength != 300<<10 {
		t.Errorf("HEAD: %q, length %d", got, resp.ContentLength)
	}
	if resp, _ := mustRead(t, c, addr, &Request{RequestURI: "/nothing"}); resp.Status != 204 {
		t.Errorf("got %d", resp.Status)
	}
	long := &Request{Method: "POST", RequestURI: "/small", Body: strings.NewReader(strings.Repeat("x", 900<<10)), ContentLength: 900 << 10}
	if resp, _ := mustRead(t, c, addr, long); resp.Status != 413 {
		t.Errorf("a body larger than nginx takes: %d", resp.Status)
	}
}
