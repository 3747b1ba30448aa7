//go:build linux

// Package lab is three regions on this machine, joined by an emulated WAN (package
// wan): in each a real Consul server, three agents as processes of their own and
// sample services; and devices that send. Commands run it: regions and chaos.
package lab

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/tidegate/tidegate/test/wan"
)

type options struct {
	json     bool
	bars     bool
	lasts    time.Duration
	script   script
	drills   []string
	short    bool
	full     bool
	previous string
	rate     float64
	seed     uint64
	tidegate string
	consul   string
	logs     string
}

// Main is the command regions.
func Main() {
	if len(os.Args) > 1 && runRole(os.Args[1], os.Args[2:]) {
		return
	}
	opt, err := parse(os.Args[1:])
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "regions:", err)
		}
		os.Exit(2)
	}
	wan.Enter()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	status, err := run(ctx, opt)
	if err != nil {
		fmt.Fprintln(os.Stderr, "regions:", err)
		status = 1
	}
	os.Exit(status)
}

func parse(args []string) (opt options, err error) {
	flags := flag.NewFlagSet("regions", flag.ContinueOnError)
	drills := flags.String("drill", "", "rehearse these `drills`, one after the other, or all: "+strings.Join(drillNames(), ", "))
	flags.BoolVar(&opt.json, "json", false, "print one JSON object a line; the rest goes to standard error")
	flags.BoolVar(&opt.bars, "bars", false, "print one JSON object for each bar; the rest goes to standard error")
	flags.DurationVar(&opt.lasts, "for", 0, "end after that `time` (default: at Ctrl-C)")
	flags.Var(&opt.script, "at", "`'TIME LINE'`: change the network at a time after the start, as '10s cut eu us'; repeatable")
	flags.BoolVar(&opt.short, "short", false, "seconds instead of minutes: too few samples for a claim about the mesh, enough to see that all works")
	flags.BoolVar(&opt.full, "full", false, "the region of full-return is away for ten minutes, not for one")
	flags.StringVar(&opt.previous, "previous", "", "`commit` of the release before, for neighbours (default: the last tag, else 40 commits back)")
	flags.Float64Var(&opt.rate, "rate", 300, "requests of all devices a `second`, 1 to 2000")
	flags.Uint64Var(&opt.seed, "seed", 1, "of loss and jitter")
	flags.StringVar(&opt.tidegate, "tidegate", "", "tidegate `file` to run (default: built from this module)")
	flags.StringVar(&opt.consul, "consul", "", "consul `file` to run (default: on PATH, else built from test/consul.mod)")
	flags.StringVar(&opt.logs, "logs", "", "`directory` for what all processes say (default: one that goes at the end)")
	if err := flags.Parse(args); err != nil {
		return opt, err
	}
	switch *drills {
	case "":
	case "all":
		opt.drills = drillNames()
	default:
		opt.drills = strings.Split(*drills, ",")
	}
	return opt, opt.check(flags.Args())
}

func (o *options) check(args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	if o.rate < 1 || o.rate > 2000 {
		return fmt.Errorf("--rate %g: use 1 to 2000", o.rate)
	}
	if o.lasts < 0 {
		return fmt.Errorf("--for %s: use none below 0", o.lasts)
	}
	if len(o.drills) > 0 && (o.lasts > 0 || len(o.script) > 0) {
		return errors.New("--drill has a time line of its own: leave --for and --at out")
	}
	if o.short && o.full {
		return errors.New("--short and --full: use one of them")
	}
	for _, name := range o.drills {
		if findDrill(name) == nil {
			return fmt.Errorf("--drill %s: there is no such drill; there are %s", name, strings.Join(drillNames(), ", "))
		}
	}
	return nil
}

func run(ctx context.Context, opt options) (status int, err error) {
	out := newOutput(opt.json, opt.bars)
	removed, err := wan.Clean()
	for _, what := range removed {
		out.say("removed what a crashed run left: %s", what)
	}
	if err != nil {
		return 1, err
	}
	m, err := start(ctx, opt, out)
	defer func() {
		out.say("stopping")
		err = errors.Join(err, m.stop())
	}()
	if err != nil {
		return 1, err
	}
	if len(opt.drills) > 0 {
		return m.rehearse(ctx, opt.drills)
	}
	out.guide(m)
	return 0, m.look(ctx)
}

// look shows the traffic and follows the script until the time is over.
func (m *mesh) look(ctx context.Context) error {
	if m.opt.lasts > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, m.opt.lasts)
		defer cancel()
	}
	ticker := time.NewTicker(5 * time.Second)
	defer ticker.Stop()
	began := time.Now()
	shown := began
	for steps := m.opt.script; ; {
		next := time.NewTimer(steps.wait(time.Since(began)))
		select {
		case <-ctx.Done():
			return nil
		case <-m.devices.proc.Done():
			return fmt.Errorf("the devices ended: %s", m.devices.proc.Tail())
		case <-ticker.C:
			now := time.Now()
			m.out.traffic(now.Sub(began), m.devices.between(shown, now))
			shown = now
		case <-next.C:
			m.out.step(time.Since(began), steps[0].line)
			if err := m.wan.Do(steps[0].line); err != nil {
				return err
			}
			steps = steps[1:]
		}
		next.Stop()
	}
}
