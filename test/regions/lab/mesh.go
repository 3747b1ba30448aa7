//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidegate/tidegate/test/child"
	"github.com/tidegate/tidegate/test/wan"
)

// mesh is everything that runs.
type mesh struct {
	opt      options
	out      *output
	wan      *wan.WAN
	dir      string // files of this run
	logs     string
	root     string // of this module
	tidegate string
	consul   string
	regions  []*region
	devices  *devices

	previous    string // tidegate of the previous release, where a drill needs it
	noPrevious  error  // why there is none
	fleetIssued bool   // its certificates are there
}

type region struct {
	name, group string
	net         *wan.Region
	mesh        *mesh
	consul      *child.Process
	services    *child.Process
	agents      []*agent
}

// field is where the devices are: a network apart, 5 ms from every region.
const field = "field"

// The regions and the round-trip times between them.
var (
	regionNames = []string{"eu-1", "eu-2", "us-1"}
	distances   = map[[2]string]time.Duration{
		{"eu-1", "eu-2"}: 40 * time.Millisecond,
		{"eu-1", "us-1"}: 80 * time.Millisecond,
		{"eu-2", "us-1"}: 140 * time.Millisecond,
	}
)

const (
	agentsEach   = 3
	consulHost   = 1 // parts of addresses
	firstAgent   = 11
	firstService = 21
	addresses    = 32
)

func setup() (lines []string) {
	for pair, rtt := range distances {
		lines = append(lines, fmt.Sprintf("set %s %s rtt=%s jitter=%s", pair[0], pair[1], rtt, rtt/40))
	}
	return append(lines, "set "+field+" * rtt=10ms")
}

// start runs everything and waits until every agent sees the whole mesh. What
// it returns is to be stopped even with an error.
func start(ctx context.Context, opt options, out *output) (m *mesh, err error) {
	m = &mesh{opt: opt, out: out, tidegate: opt.tidegate, consul: opt.consul}
	m.wan, err = wan.Start(wan.Config{Regions: append(regionNames[:len(regionNames):len(regionNames)], field), Addresses: addresses, Seed: opt.seed, Setup: setup()})
	if err != nil {
		return m, err
	}
	m.dir = m.wan.Dir()
	if m.logs = opt.logs; m.logs == "" {
		m.logs = filepath.Join(m.dir, "logs")
	}
	if err := os.MkdirAll(m.logs, 0o700); err != nil {
		return m, err
	}
	if err := m.programs(ctx); err != nil {
		return m, err
	}
	if slices.Contains(opt.drills, "neighbours") {
		m.noPrevious = m.buildPrevious(ctx)
	}
	for _, name := range regionNames {
		m.addRegion(name)
	}
	for _, part := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"certificates and keys", m.secrets}, {"Consul servers, joined over WAN", m.eachRegion((*region).startConsul)},
		{"services", m.eachRegion((*region).startServices)}, {"agents", m.eachRegion((*region).startAgents)},
		{"policy", m.applyPolicy}, {"devices", m.startDevices}, {"every agent sees the whole mesh", m.awaitWhole},
		{"distances measured", m.tellDistances},
	} {
		began := time.Now()
		if err := part.do(ctx); err != nil {
			return m, fmt.Errorf("%s: %w (logs: see --logs)", part.what, err)
		}
		out.say("%s (%.1f s)", part.what, time.Since(began).Seconds())
	}
	return m, nil
}

func (m *mesh) addRegion(name string) {
	group, _, _ := strings.Cut(name, "-")
	r := &region{name: name, group: group, net: m.wan.Region(name), mesh: m}
	for n := range agentsEach {
		a := &agent{name: fmt.Sprintf("%s-a%d", name, n+1), region: r, IP: r.net.Addr(firstAgent + n)}
		a.dir = filepath.Join(m.dir, name, a.name)
		r.agents = append(r.agents, a)
	}
	m.regions = append(m.regions, r)
}

func (m *mesh) eachRegion(do func(*region, context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		all, ctx := errgroup.WithContext(ctx)
		for _, r := range m.regions {
			all.Go(func() error { return do(r, ctx) })
		}
		return all.Wait()
	}
}

func (m *mesh) region(name string) *region {
	for _, r := range m.regions {
		if r.name == name {
			return r
		}
	}
	return nil
}

func (m *mesh) agents() (all []*agent) {
	for _, r := range m.regions {
		all = append(all, r.agents...)
	}
	return all
}

func (m *mesh) log(name string) string { return filepath.Join(m.logs, name+".log") }

func (r *region) consulAddr() netip.Addr { return r.net.Addr(consulHost) }

// stop ends everything, agents in their own way first.
func (m *mesh) stop() error {
	if m.wan == nil {
		return nil
	}
	if m.devices != nil {
		m.devices.stop()
	}
	var leaving sync.WaitGroup
	for _, a := range m.agents() {
		leaving.Go(func() { terminate(a.proc, patience) })
	}
	leaving.Wait()
	return m.wan.Close() // kills what is left
}

// patience is how long an agent may take to end in its own way.
const patience = 8 * time.Second

func terminate(p *child.Process, patience time.Duration) {
	if !p.Running() {
		return
	}
	_ = p.Cmd.Process.Signal(syscall.SIGTERM)
	_ = p.Cmd.Process.Signal(syscall.SIGCONT) // a paused one hears nothing
	select {
	case <-p.Done():
	case <-time.After(patience):
	}
}

// programs finds or builds what is run.
func (m *mesh) programs(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	mod := strings.TrimSpace(string(out))
	if err != nil || mod == "" || mod == os.DevNull {
		return errors.Join(errors.New("find the module: run this inside of tidegate's folder"), err)
	}
	m.root = filepath.Dir(mod)
	if m.consul == "" {
		if m.consul, err = findConsul(ctx, m.root); err != nil {
			return err
		}
	}
	if m.tidegate != "" {
		m.tidegate, err = filepath.Abs(m.tidegate)
		return err
	}
	m.tidegate = filepath.Join(m.dir, "tidegate")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", m.tidegate, ".")
	build.Dir, build.Stderr = m.root, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build tidegate: %w", err)
	}
	return nil
}

// await tries until missing finds nothing any more.
func await(ctx context.Context, within time.Duration, missing func() error) error {
	deadline := time.Now().Add(within)
	for {
		err := missing()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %w", within, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
