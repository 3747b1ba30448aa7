package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/tidegate/tidegate/test/child"
	"github.com/tidegate/tidegate/test/overload/flood"
)

type object = map[string]any

// caddyConfig is Caddy as HTTP/3 reverse proxy that knows how much the service
// takes, waits for room, and leaves a failing service alone for a while.
func (l *lab) caddyConfig(addr string, u *upstream) ([]byte, error) {
	return json.Marshal(object{
		"admin":   object{"disabled": true, "config": object{"persist": false}},
		"logging": object{"logs": object{"default": object{"level": "FATAL"}}},
		"storage": object{"module": "file_system", "root": l.path("caddy")},
		"apps": object{
			"tls": object{"certificates": object{"load_files": []object{
				{"certificate": l.path("edge.pem"), "key": l.path("edge.key")},
			}}},
			"http": object{"servers": object{"overload": object{
				"listen":                  []string{addr},
				"automatic_https":         object{"disable": true},
				"tls_connection_policies": []object{{}},
				"routes":                  []object{{"handle": []object{l.caddyProxy(u)}}},
			}}},
		},
	})
}

func (l *lab) caddyProxy(u *upstream) object {
	return object{
		"handler":   "reverse_proxy",
		"upstreams": []object{{"dial": u.addr, "max_requests": 2 * u.slots}},
		"load_balancing": object{
			"selection_policy": object{"policy": "least_conn"},
			"try_duration":     "250ms", "try_interval": "25ms",
		},
		"health_checks": object{"passive": object{
			"fail_duration": "1s", "max_fails": 10, "unhealthy_status": []int{502, 503, 504},
		}},
	}
}

func (l *lab) startCaddy(ctx context.Context, u *upstream) (addr string, err error) {
	program, err := l.caddyProgram(ctx)
	if err != nil {
		return "", err
	}
	if addr, err = l.freePort(); err != nil {
		return "", err
	}
	config, err := l.caddyConfig(addr, u)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(l.path("caddy.json"), config, 0o600); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, program, "run", "--config", l.path("caddy.json"))
	cmd.Env = append(os.Environ(), "HOME="+l.dir, "XDG_DATA_HOME="+l.dir, "XDG_CONFIG_HOME="+l.dir)
	_, err = l.start("caddy", cmd)
	return addr, err
}

// caddyProgram prefers one that is installed; go builds another once and keeps
// it in its cache.
func (l *lab) caddyProgram(ctx context.Context) (string, error) {
	if l.opt.caddy != "" {
		return l.opt.caddy, nil
	}
	if path, err := exec.LookPath("caddy"); err == nil {
		return path, nil
	}
	cmd := exec.CommandContext(ctx, "go", "tool", "-n", "-modfile="+filepath.Join("test", "caddy.mod"), "caddy")
	cmd.Dir, cmd.Stderr = l.root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build caddy: %w (or give one with --caddy)", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// haproxyConfig lets as many requests through as the service takes, and serves
// the most important of those that wait first.
const haproxyConfig = `global
  maxconn 8000
defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 5s
  timeout queue 500ms
  http-reuse always
frontend edge
  bind %s
  http-request set-priority-class int(-3) if { path /critical }
  http-request set-priority-class int(-2) if { path /high }
  http-request set-priority-class int(-1) if { path /normal }
  default_backend ingest
backend ingest
  server one %s maxconn %d maxqueue 500
`

func (l *lab) startHAProxy(ctx context.Context, u *upstream) (addr string, err error) {
	program, err := lookPath("haproxy")
	if err != nil {
		return "", err
	}
	if addr, err = l.freePort(); err != nil {
		return "", err
	}
	file := l.path("haproxy.cfg")
	if err := os.WriteFile(file, fmt.Appendf(nil, haproxyConfig, addr, u.addr, u.slots), 0o600); err != nil {
		return "", err
	}
	_, err = l.start("haproxy", exec.CommandContext(ctx, program, "-db", "-q", "-f", file))
	return addr, err
}

// lookPath also looks where Debian keeps servers.
func lookPath(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	path, err := exec.LookPath(filepath.Join("/usr/sbin", name))
	if err != nil {
		return "", fmt.Errorf("%w: make tools installs it", err)
	}
	return path, nil
}

func (l *lab) startHTTP3(ctx context.Context, role string, u *upstream) (*child.Process, string, error) {
	p, words, err := l.startSelf(ctx, role, envCert+"="+l.path("edge.pem"), envKey+"="+l.path("edge.key"),
		envCA+"="+l.path("ca.pem"), envUpstream+"="+u.addr)
	if err != nil {
		return nil, "", err
	}
	if len(words) != 1 {
		return nil, "", fmt.Errorf("%s printed %q", role, words)
	}
	return p, words[0], nil
}

// contender is something that stands before the service, and its clients.
type contender struct {
	name   string
	client flood.Client
	agent  *agent // nil for peers
}

const ourselves = "tidegate"

// devicesOf a contender: enough that a threshold can lie between them.
const devices = 192

// contenders starts an agent and, when wanted, its peers before one service.
func (l *lab) contenders(ctx context.Context, u *upstream) ([]contender, error) {
	agents, err := l.startAgents(ctx, "", u)
	if err != nil {
		return nil, err
	}
	f, err := l.fleet(ctx, patient, []string{agents[0].Edge}, devices)
	if err != nil {
		return nil, err
	}
	all := []contender{{ourselves, f, agents[0]}}
	if !l.opt.withPeers {
		return all, nil
	}
	caddy, err := l.startCaddy(ctx, u)
	if err != nil {
		return nil, err
	}
	haproxy, err := l.startHAProxy(ctx, u)
	if err != nil {
		return nil, err
	}
	_, fail, err := l.startHTTP3(ctx, roleFailsafe, u)
	if err != nil {
		return nil, err
	}
	for _, peer := range []struct{ name, addr string }{{"caddy", caddy}, {"failsafe-go", fail}} {
		f, err := l.fleetWithin(ctx, peer.addr)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", peer.name, err)
		}
		all = append(all, contender{name: peer.name, client: f})
	}
	plain := flood.NewPlain(haproxy, http.Header{})
	return append(all, contender{name: "haproxy", client: plain}), nil
}

// fleetWithin tries again while a server starts.
func (l *lab) fleetWithin(ctx context.Context, addr string) (*flood.Fleet, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		f, err := l.fleet(ctx, patient, []string{addr}, devices)
		if err == nil {
			return f, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}
