package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/tidegate/tidegate/test/child"
)

type object = map[string]any

// caddyConfig is Caddy as plain HTTP/3 reverse proxy: nothing from or to the
// network, certificates by file, no admin API, no access log.
func (b *bench) caddyConfig(addr string) ([]byte, error) {
	return json.Marshal(object{
		"admin":   object{"disabled": true, "config": object{"persist": false}},
		"logging": object{"logs": object{"default": object{"level": "ERROR"}}},
		"storage": object{"module": "file_system", "root": b.path("caddy")},
		"apps": object{
			"tls": object{"certificates": object{"load_files": []object{
				{"certificate": b.path("edge.pem"), "key": b.path("edge.key")},
			}}},
			"http": object{"servers": object{"bench": object{
				"listen":                  []string{addr},
				"automatic_https":         object{"disable": true},
				"tls_connection_policies": []object{{}},
				"routes": []object{{"handle": []object{{
					"handler":   "reverse_proxy",
					"upstreams": []object{{"dial": b.backend}},
				}}}},
			}}},
		},
	})
}

func (b *bench) addCaddy(ctx context.Context, opt options) error {
	program, err := b.caddyProgram(ctx, opt)
	if err != nil {
		return err
	}
	addr, err := freePort()
	if err != nil {
		return err
	}
	config, err := b.caddyConfig(addr)
	if err != nil {
		return err
	}
	if err := os.WriteFile(b.path("caddy.json"), config, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, "run", "--config", b.path("caddy.json"))
	cmd.Env = append(os.Environ(), "HOME="+b.dir, "XDG_DATA_HOME="+b.dir, "XDG_CONFIG_HOME="+b.dir)
	proc, err := child.Start(cmd, b.path(nameCaddy+".log"))
	if err != nil {
		return err
	}
	b.procs = append(b.procs, proc)
	return b.add(ctx, &target{name: nameCaddy, addr: addr, proc: proc})
}

// caddyProgram prefers one that is installed; go builds another once and keeps
// it in its cache.
func (b *bench) caddyProgram(ctx context.Context, opt options) (string, error) {
	if opt.caddy != "" {
		return opt.caddy, nil
	}
	if path, err := exec.LookPath("caddy"); err == nil {
		return path, nil
	}
	fmt.Fprintln(os.Stderr, "no caddy on PATH: building the one of test/caddy.mod")
	cmd := exec.CommandContext(ctx, "go", "tool", "-n", "-modfile="+filepath.Join("test", "caddy.mod"), "caddy")
	cmd.Dir, cmd.Stderr = b.root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build caddy: %w (or give one with --caddy)", err)
	}
	return strings.TrimSpace(string(out)), nil
}
