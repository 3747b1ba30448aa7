package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/tidegate/tidegate/test/child"
	"github.com/tidegate/tidegate/test/overload/flood"
	"github.com/tidegate/tidegate/test/overload/judge"
	"github.com/tidegate/tidegate/test/overload/slots"
	"github.com/tidegate/tidegate/transport"
)

// lab is what all experiments share: certificates, programs, processes.
type lab struct {
	opt       options
	dir, root string
	program   string // tidegate
	authority *transport.Authority
	gossipKey string
	procs     []*child.Process
	port      int // tried last
}

const validity = 24 * time.Hour

func newLab(ctx context.Context, opt options) (l *lab, err error) {
	l = &lab{opt: opt, program: opt.tidegate, port: mrand.IntN(10000)}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if l.root, err = moduleRoot(ctx); err != nil {
		return l, err
	}
	if l.dir, err = os.MkdirTemp("", "tidegate-overload-"); err != nil {
		return l, err
	}
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails (crypto/rand)
	l.gossipKey = base64.StdEncoding.EncodeToString(key[:])
	if err := l.certificates(); err != nil {
		return l, err
	}
	return l, l.build(ctx)
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	if mod == "" || mod == os.DevNull {
		return "", errors.New("find the module: run this inside of tidegate's folder")
	}
	return filepath.Dir(mod), nil
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

func (l *lab) certificates() (err error) {
	if l.authority, err = transport.NewAuthority("overload", "overload.test", validity); err != nil {
		return err
	}
	edge, err := l.authority.IssueEdge([]string{"127.0.0.1", "localhost"}, validity)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(l.path("ca.pem"), l.authority.CertPEM(), 0o600),
		os.WriteFile(l.path("edge.pem"), edge.CertPEM, 0o600), os.WriteFile(l.path("edge.key"), edge.KeyPEM, 0o600),
	)
}

func (l *lab) build(ctx context.Context) error {
	if l.program != "" {
		return nil
	}
	l.program = l.path("tidegate")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", l.program, ".")
	cmd.Dir, cmd.Stderr = l.root, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build tidegate: %w", err)
	}
	return nil
}

// stopAll ends the processes of an experiment.
func (l *lab) stopAll() {
	for _, p := range l.procs {
		p.Kill()
	}
	l.procs = nil
}

func (l *lab) close() {
	l.stopAll()
	if l.dir != "" {
		os.RemoveAll(l.dir)
	}
}

// say tells the person who watches.
func (l *lab) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// long is a duration of a full run, shorter with --short.
func (l *lab) long(full, short time.Duration) time.Duration {
	if l.opt.short {
		return short
	}
	return full
}

// times is a number of repetitions.
func (l *lab) times(full, short int) int {
	if l.opt.short {
		return short
	}
	return full
}

// upstream is a running service.
type upstream struct {
	*child.Process
	slots.Control
	addr  string
	slots int
}

func (l *lab) startUpstream(ctx context.Context, n int) (*upstream, error) {
	p, words, err := l.startSelf(ctx, roleUpstream,
		fmt.Sprintf("%s=%d", envSlots, n), fmt.Sprintf("%s=%s", envHold, l.opt.hold), fmt.Sprintf("%s=%d", envSeed, l.opt.seed))
	if err != nil {
		return nil, err
	}
	if len(words) != 2 {
		return nil, fmt.Errorf("the upstream printed %q", words)
	}
	return &upstream{Process: p, addr: words[0], Control: slots.Control{Addr: words[1]}, slots: n}, nil
}

// capacityOf slots, in requests a second.
func (l *lab) capacityOf(slots int) float64 { return float64(slots) / l.opt.hold.Seconds() }

// How long devices bear silence before they look for another edge. Their
// keep-alives, four in that time, are load too.
const (
	patient   = 20 * time.Second
	impatient = time.Second
)

// fleet connects devices to edges; groups are tenants "t0", "t1" and so on.
func (l *lab) fleet(ctx context.Context, silence time.Duration, edges []string, groups ...int) (*flood.Fleet, error) {
	conf := &tls.Config{RootCAs: l.authority.Pool(), ServerName: "localhost"}
	f, err := flood.NewFleet(flood.FleetConfig{
		Edges: edges, Groups: groups, TLS: conf, Silence: silence,
		Headers: map[string][]string{"Request-Timeout": {fmt.Sprint(timeout.Seconds())}},
		Identity: func(group, device int) (tls.Certificate, error) {
			issued, err := l.authority.IssueDevice(fmt.Sprintf("d-%d-%d", group, device), map[string]string{"tenant": fmt.Sprintf("t%d", group)}, validity)
			if err != nil {
				return tls.Certificate{}, err
			}
			return issued.TLS()
		},
	})
	if err != nil {
		return nil, err
	}
	if err := f.Connect(ctx, &flood.Kind{Path: "/critical"}); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// timeout of every request, and so its deadline.
const timeout = time.Second

// quiet waits until nobody else uses the machine much, or for two minutes.
func (l *lab) quiet(ctx context.Context) error {
	const enough, look, longest = 0.15, 500 * time.Millisecond, 2 * time.Minute
	for until := time.Now().Add(l.long(longest, 0)); ; {
		before, err := judge.Now()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look):
		}
		now, err := judge.Now()
		if err != nil || now.Busy(before) < enough || time.Now().After(until) {
			return err
		}
	}
}

// flood sends a plan and notes under which conditions.
func (l *lab) flood(ctx context.Context, p *flood.Plan, c flood.Client) (*flood.Load, judge.Conditions, error) {
	before, err := judge.Now()
	if err != nil {
		return nil, judge.Conditions{}, err
	}
	load := flood.Run(ctx, p, c)
	if err := ctx.Err(); err != nil {
		return nil, judge.Conditions{}, err
	}
	after, err := judge.Now()
	if err != nil {
		return nil, judge.Conditions{}, err
	}
	late := make([]time.Duration, 0, len(load.Results))
	for i := range load.Results {
		late = append(late, load.Results[i].Late)
	}
	return load, judge.Conditions{Busy: after.Busy(before), Late: judge.Quantile(late, 0.99), Overruns: load.Overruns}, nil
}
