//go:build linux

package lab

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"

	"golang.org/x/sync/errgroup"
)

// deviceCount devices are spread over the edges of all agents.
const deviceCount = 27

// secrets makes what an operator makes, with the command an operator uses.
func (m *mesh) secrets(ctx context.Context) error {
	if err := m.command(ctx, "tls", "ca"); err != nil {
		return err
	}
	if err := m.command(ctx, "keygen", "--out", "gossip.key"); err != nil {
		return err
	}
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(4)
	for _, a := range m.agents() {
		all.Go(func() error {
			return m.command(ctx, "tls", "cert", "mesh", "--region", a.region.name, "--name", a.name, "--out", a.dir)
		})
		all.Go(func() error {
			return m.command(ctx, "tls", "cert", "edge", "--host", "localhost", "--host", a.IP.String(), "--out", a.dir)
		})
	}
	for n := range deviceCount {
		all.Go(func() error { return m.issueDevice(ctx, n) })
	}
	return all.Wait()
}

func (m *mesh) issueDevice(ctx context.Context, n int) error {
	return m.command(ctx, "tls", "cert", "device", "--id", deviceID(n), "--out", m.deviceDir(), "--file", strconv.Itoa(n))
}

func (m *mesh) caFile() string { return filepath.Join(m.dir, "ca.pem") }

func deviceID(n int) string { return fmt.Sprintf("device-%d", n) }

func (m *mesh) deviceDir() string { return filepath.Join(m.dir, "devices") }

// command runs tidegate in the folder of this run.
func (m *mesh) command(ctx context.Context, args ...string) error {
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, m.tidegate, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = m.dir, &said, &said, bareEnv()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("tidegate %v: %w: %s", args, err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}
