package agent_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent"
	"github.com/tidegate/tidegate/agent/config"
	"github.com/tidegate/tidegate/agent/dev"
)

// spare is the configuration of an agent of m that is not running, made from a
// running one's with every port its own.
func spare(t *testing.T, m *dev.Mesh) *config.Config {
	t.Helper()
	dir := m.Regions[0].Agents[0].Dir
	files, err := filepath.Glob(filepath.Join(dir, "*.hcl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no configuration in %s: %v", dir, err)
	}
	var cfg *config.Config
	for _, f := range files {
		if cfg, err = config.Load([]string{f}, func(string) (string, bool) { return "", false }, nil); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	const any = "127.0.0.1:0"
	l := &cfg.Listeners
	l.Edge = config.EdgeBind{Addr: any, Advertise: any}
	l.Mesh.Addr, l.Mesh.Advertise = any, any
	l.LAN, l.WAN = config.Bind{Addr: any}, config.Bind{Addr: any}
	l.Admin.Addr = any
	if l.Egress != nil {
		l.Egress.Addr = any
	}
	if l.Ready != nil {
		l.Ready.Addr = any
	}
	cfg.DataDir = t.TempDir()
	return cfg
}

func TestTakenPortStartsNothing(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1}, nil)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	for name, take := range map[string]func(*config.Listeners){
		"listeners.edge":  func(l *config.Listeners) { l.Edge.Addr = addr },
		"listeners.mesh":  func(l *config.Listeners) { l.Mesh.Addr = addr },
		"listeners.lan":   func(l *config.Listeners) { l.LAN.Addr = addr },
		"listeners.wan":   func(l *config.Listeners) { l.WAN.Addr = addr },
		"listeners.admin": func(l *config.Listeners) { l.Admin.Addr = addr },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := spare(t, m)
			take(&cfg.Listeners)
			err := agent.Run(t.Context(), cfg, agent.Options{}, nil)
			if !errors.Is(err, agent.ErrSocket) || !regexp.MustCompile("^"+regexp.QuoteMeta(name)+": ").MatchString(err.Error()) {
				t.Errorf("%v; want one of kind ErrSocket that names %s", err, name)
			}
		})
	}
}

func TestGossipPortTakenBetweenCheckAndStart(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1}, nil)
	cfg := spare(t, m)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listeners.LAN.Addr = free.Addr().String()
	_ = free.Close()
	a, err := agent.New(t.Context(), cfg, agent.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if free, err = net.Listen("tcp", cfg.Listeners.LAN.Addr); err != nil {
		t.Skipf("another process took the port: %v", err)
	}
	defer free.Close()
	if err := a.Start(t.Context()); !errors.Is(err, agent.ErrSocket) {
		t.Errorf("start: %v, want one of kind ErrSocket", err)
	}
}

func TestAgentStartsOnceAndClosesTwice(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1}, nil)
	a, err := agent.New(t.Context(), spare(t, m), agent.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a.Start(t.Context()) == nil {
		t.Error("it started twice")
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = a.Close()
		_ = a.Close()
	}()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("Close does not end after a second Start")
	}
	if a.Start(t.Context()) == nil {
		t.Error("it started after Close")
	}
}

func TestRunDrainsWhenItsContextEnds(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1}, nil)
	cfg := spare(t, m)
	ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	if err := agent.Run(ctx, cfg, agent.Options{}, nil); err != nil {
		t.Errorf("run: %v", err)
	}
	if _, err := os.Stat(cfg.DataDir); err != nil {
		t.Error(err)
	}
}
