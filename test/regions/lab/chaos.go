//go:build linux

package lab

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tidegate/tidegate/test/chaos/schedule"
	"github.com/tidegate/tidegate/test/wan"
)

type chaosOptions struct {
	options
	show        bool
	replay      string
	shrink      string
	within      time.Duration
	log         string
	falseAlarms bool
}

// Chaos is the command chaos.
func Chaos() {
	if len(os.Args) > 1 && runRole(os.Args[1], os.Args[2:]) {
		return
	}
	opt, err := parseChaos(os.Args[1:])
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "chaos:", err)
		}
		os.Exit(2)
	}
	wan.Enter()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	status, err := opt.run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		status = 1
	}
	os.Exit(status)
}

func parseChaos(args []string) (o chaosOptions, err error) {
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.Uint64Var(&o.seed, "seed", 1, "of the schedule, loss and jitter")
	flags.DurationVar(&o.lasts, "for", 20*time.Minute, "a `time`, 1m to 24h")
	flags.BoolVar(&o.show, "show", false, "print the schedule, and do nothing")
	flags.StringVar(&o.replay, "replay", "", "run the schedule in a `file`")
	flags.StringVar(&o.shrink, "shrink", "", "find the shortest part of the schedule in a `file` that still fails")
	flags.DurationVar(&o.within, "within", 30*time.Minute, "`time` that --shrink may take")
	flags.StringVar(&o.log, "log", "", "append to a `file` what was run, and leave out what is there already")
	flags.BoolVar(&o.falseAlarms, "false-alarms", false, "5% loss everywhere and agents starved of CPU: is a region given up that lives? beside memberlist's own profiles")
	flags.BoolVar(&o.json, "json", false, "print one JSON object a line; the rest goes to standard error")
	flags.Float64Var(&o.rate, "rate", 200, "requests of all devices a `second`, 1 to 2000")
	flags.StringVar(&o.tidegate, "tidegate", "", "tidegate `file` to run (default: built from this module)")
	flags.StringVar(&o.consul, "consul", "", "consul `file` to run (default: on PATH, else built from test/consul.mod)")
	flags.StringVar(&o.logs, "logs", "", "`directory` for what all processes say (default: one that goes at the end)")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	return o, o.check(flags.Args())
}

func (o *chaosOptions) check(args []string) error {
	modes := 0
	for _, given := range []bool{o.replay != "", o.shrink != "", o.falseAlarms} {
		if given {
			modes++
		}
	}
	switch {
	case len(args) > 0:
		return fmt.Errorf("unexpected argument %q", args[0])
	case modes > 1:
		return errors.New("--replay, --shrink, --false-alarms: use one of them")
	case o.rate < 1 || o.rate > 2000:
		return fmt.Errorf("--rate %g: use 1 to 2000", o.rate)
	case o.lasts < time.Minute || o.lasts > 24*time.Hour:
		return fmt.Errorf("--for %s: use 1m to 24h", o.lasts)
	case o.within <= 0:
		return fmt.Errorf("--within %s: use more than 0", o.within)
	}
	return nil
}

// world is what schedules are made for.
func world() *schedule.Mesh {
	m := &schedule.Mesh{Regions: regionNames, Agents: agentsEach, Homes: map[string][]string{}}
	for _, s := range sampleServices {
		for _, region := range regionNames {
			if s.in(region) {
				m.Homes[s.name] = append(m.Homes[s.name], region)
			}
		}
	}
	return m
}

func (o *chaosOptions) schedule() (schedule.Schedule, error) {
	file := o.replay + o.shrink
	if file == "" {
		return schedule.Generate(world(), o.seed, o.lasts), nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return schedule.Schedule{}, err
	}
	return schedule.Parse(world(), string(raw))
}

func (o *chaosOptions) run(ctx context.Context) (status int, err error) {
	out := newOutput(o.json, false)
	if o.falseAlarms {
		return o.alarms(ctx, out)
	}
	s, err := o.schedule()
	if err != nil {
		return 1, err
	}
	if o.show {
		fmt.Print(s.String())
		return 0, nil
	}
	o.seed = s.Seed
	if o.shrink != "" {
		return o.shorten(ctx, s, out)
	}
	log, err := schedule.OpenLog(o.log)
	if err != nil {
		return 1, err
	}
	c := &chaos{schedule: s, log: log, out: out}
	if err := c.run(ctx, o.options); err != nil {
		return 1, errors.Join(err, o.tellFailure(c))
	}
	return exitStatus(c.all), o.tellFailure(c)
}

// tellFailure writes the schedule that failed to a file, and says how to go on.
func (o *chaosOptions) tellFailure(c *chaos) error {
	if exitStatus(c.all) != 1 || o.replay != "" {
		return nil
	}
	file := fmt.Sprintf("chaos-%d.txt", o.seed)
	if err := os.WriteFile(file, []byte(c.schedule.String()), 0o644); err != nil {
		return err
	}
	c.out.say("\nseed %d failed. Again: --replay %s. What it takes to fail: --shrink %s", o.seed, file, file)
	return nil
}

// withMesh runs three regions while do lasts, after what a crashed run left is
// removed.
func withMesh(ctx context.Context, opt options, out *output, do func(*mesh) error) (err error) {
	removed, err := wan.Clean()
	for _, what := range removed {
		out.say("removed what a crashed run left: %s", what)
	}
	if err != nil {
		return err
	}
	m, err := start(ctx, opt, out)
	defer func() { err = errors.Join(err, m.stop()) }()
	if err != nil {
		return err
	}
	return do(m)
}
