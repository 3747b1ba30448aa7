// Command devices measures what devices cost the edge, in one run:
//
//   - idle: a connection that speaks MQTT and does nothing, over TLS and QUIC, beside
//     a bare server of crypto/tls and of quic-go under the same mutual TLS, and beside
//     mosquitto where that is installed;
//
//   - silent: connections that send nothing, and a device among them;
//
//   - handshakes: the CPU of a full mutual TLS handshake, beside bare quic-go's;
//
//   - batching: QoS 1 publishes a second on a route that batches, beside the same
//     without, into a service that syncs what it gets to disk before it answers;
//
//   - storm: thousands of devices lose their agent at once and come to its fellow,
//     beside critical traffic that flows there, in a mesh of two regions.
//
//     go run ./test/devices [--json] [--connections N] [--only idle,storm]
//
// Figures are of the server's process alone, unless they are what clients see. Each
// server is a process of its own, and so are the devices of the storm, which give way
// to the agents: where they live they have processors of their own. Linux only.
//
// Exit status: 0 all bars hold, 1 one does not or a measurement failed, 2 usage.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tidegate/tidegate/test/overload/judge"
)

type options struct {
	json        bool
	connections int
	silent      int
	only        []string
}

// experiments, in the order in which they run.
var experiments = []struct {
	name string
	run  func(*lab, context.Context, options) ([]bar, error)
}{
	{"idle", (*lab).runIdle}, {"silent", (*lab).runSilent}, {"handshakes", (*lab).runHandshakes}, {"batching", (*lab).runBatching}, {"storm", (*lab).runStorm},
}

func main() {
	if len(os.Args) == 2 && runRole(os.Args[1]) {
		return
	}
	opt, err := parseFlags(os.Args[1:])
	if err != nil {
		say("devices: %v", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	ok, err := run(ctx, opt)
	if err != nil {
		say("devices: %v", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func parseFlags(args []string) (opt options, err error) {
	flags := flag.NewFlagSet("devices", flag.ContinueOnError)
	flags.BoolVar(&opt.json, "json", false, "print bars as JSON, one a line; the rest goes to standard error")
	flags.IntVar(&opt.connections, "connections", 5000, "devices that are idle, or in the storm; 100 to 50000")
	flags.IntVar(&opt.silent, "silent", 10_000, "connections that send nothing, 100 to 50000")
	only := flags.String("only", "", "experiments to run, separated by commas; all by default")
	if err := flags.Parse(args); err != nil {
		return opt, err
	}
	between := func(n int) bool { return n >= 100 && n <= 50_000 }
	if flags.NArg() > 0 || !between(opt.connections) || !between(opt.silent) {
		return opt, fmt.Errorf("--connections and --silent are 100 to 50000, and there are no arguments")
	}
	if *only == "" {
		return opt, nil
	}
	opt.only = strings.Split(*only, ",")
	for _, name := range opt.only {
		if !slices.Contains(names(), name) {
			return opt, fmt.Errorf("--only %q: there are %s", name, strings.Join(names(), ", "))
		}
	}
	return opt, nil
}

func names() (all []string) {
	for _, e := range experiments {
		all = append(all, e.name)
	}
	return all
}

func run(ctx context.Context, opt options) (ok bool, err error) {
	l, err := newLab()
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(l.dir)
	ok = true
	for _, e := range experiments {
		if len(opt.only) > 0 && !slices.Contains(opt.only, e.name) {
			continue
		}
		if err := quiet(ctx); err != nil {
			return false, err
		}
		bars, err := e.run(l, ctx, opt)
		if err != nil {
			return false, fmt.Errorf("%s: %w", e.name, err)
		}
		ok = report(bars, opt.json) && ok
	}
	return ok, nil
}

// quiet waits until nobody else uses the machine much, or for two minutes.
func quiet(ctx context.Context) error {
	const enough, look, longest = 0.15, 500 * time.Millisecond, 2 * time.Minute
	for until := time.Now().Add(longest); ; {
		before, err := judge.Now()
		if err != nil {
			return err
		}
		if pause(ctx, look); ctx.Err() != nil {
			return ctx.Err()
		}
		now, err := judge.Now()
		if err != nil || now.Busy(before) < enough {
			return err
		}
		if time.Now().After(until) {
			say("the machine does not come to rest (%.0f%% busy): take the figures with care", 100*now.Busy(before))
			return nil
		}
	}
}
