//go:build linux

package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

func findConsul(ctx context.Context, root string) (string, error) {
	if path, err := exec.LookPath("consul"); err == nil {
		return path, nil
	}
	cmd := exec.CommandContext(ctx, "go", "tool", "-n", "-modfile=test/consul.mod", "consul")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("find consul (put one on PATH, or build it with `make tools`): %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// bareEnv keeps the settings of whoever runs this from Consul and the agents.
func bareEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "CONSUL_") || strings.HasPrefix(v, "TIDEGATE_")
	})
}

func (r *region) path(name string) string { return filepath.Join(r.mesh.dir, r.name, name) }

func (r *region) consulSocket() string { return "unix://" + r.path("consul.sock") }

// startConsul runs the region's server with the data it had, and waits until it
// leads and knows the other datacenters.
func (r *region) startConsul(ctx context.Context) error {
	if err := r.launchConsul(); err != nil {
		return err
	}
	return await(ctx, time.Minute, r.consulMissing)
}

// launchConsul does not wait.
func (r *region) launchConsul() error {
	if err := os.MkdirAll(r.path("consul"), 0o700); err != nil {
		return err
	}
	_ = os.Remove(r.path("consul.sock")) // a killed server leaves it
	raw, err := json.Marshal(r.consulConfig())
	if err != nil {
		return err
	}
	if err := os.WriteFile(r.path("consul.json"), raw, 0o600); err != nil {
		return err
	}
	cmd := exec.Command(r.mesh.consul, "agent", "-config-file="+r.path("consul.json"))
	cmd.Env = bareEnv()
	r.consul, err = r.net.Start(cmd, r.mesh.log(r.name+"-consul"))
	return err
}

// consulConfig has Consul's own timing; over the socket people look at it from
// outside of the region.
func (r *region) consulConfig() map[string]any {
	var join []string
	for _, other := range r.mesh.regions {
		if other != r {
			join = append(join, other.consulAddr().String())
		}
	}
	ip := r.consulAddr().String()
	return map[string]any{
		"node_name": r.name, "datacenter": r.name, "server": true, "bootstrap_expect": 1, "data_dir": r.path("consul"),
		"bind_addr": ip, "client_addr": ip, "addresses": map[string]any{"http": ip + " " + r.consulSocket()},
		"ports":          map[string]any{"dns": -1, "grpc": -1, "grpc_tls": -1},
		"retry_join_wan": join, "retry_interval_wan": "1s",
		"connect": map[string]any{"enabled": false}, "performance": map[string]any{"raft_multiplier": 1},
		"disable_update_check": true, "log_level": "warn",
	}
}

func (r *region) consulClient() (*api.Client, error) {
	conf := api.DefaultNonPooledConfig()
	conf.Address = r.consulSocket()
	return api.NewClient(conf)
}

func (r *region) consulMissing() error {
	if !r.consul.Running() {
		return fmt.Errorf("consul of %s ended: %s", r.name, r.consul.Tail())
	}
	client, err := r.consulClient()
	if err != nil {
		return err
	}
	if nodes, _, err := client.Catalog().Nodes(nil); err != nil || len(nodes) == 0 {
		return errors.Join(fmt.Errorf("consul of %s does not lead", r.name), err)
	}
	known, err := client.Catalog().Datacenters()
	if err != nil || len(known) < len(r.mesh.regions) {
		return errors.Join(fmt.Errorf("consul of %s knows %v", r.name, known), err)
	}
	return nil
}
