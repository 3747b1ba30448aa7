// Command overload drives real agents over what their service can take and
// holds what they do to bars, beside what a user might take instead of them.
//
//	go run ./test/overload [--json] [--only NAME,...] [--seed N] [--short]
//
// The load is open loop over HTTP/3: requests start on schedule whatever the
// answers are, and latency counts from the moment one was due. Agents, peers
// and the service behind them are processes of their own. The service holds one
// of N slots for 10 ms by timer, so that its capacity does not depend on the
// CPU. Linux only.
//
// A run whose generator could not keep its schedule, or during which the
// machine was over 80% busy, is not judged: its bars do not pass.
//
// Exit status: 0 all bars hold, 1 one is broken or a measurement failed,
// 2 usage, 3 none is broken but some could not be judged.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

type options struct {
	json      bool
	only      []string
	seed      uint64
	short     bool
	slots     int
	hold      time.Duration
	withPeers bool
	tidegate  string
	caddy     string
	profiles  string
}

func main() {
	if len(os.Args) == 2 && runRole(os.Args[1]) {
		return
	}
	debug.SetGCPercent(400) // the generator's garbage is not what is measured
	opt := parseFlags()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	status, err := run(ctx, opt)
	if err != nil {
		fmt.Fprintln(os.Stderr, "overload:", err)
		status = 1
	}
	os.Exit(status)
}

func parseFlags() options {
	var opt options
	only := flag.String("only", "", "run these `experiments` alone: "+strings.Join(names(), ","))
	flag.BoolVar(&opt.json, "json", false, "print bars as JSON, one a line; the rest goes to standard error")
	flag.Uint64Var(&opt.seed, "seed", uint64(time.Now().UnixNano()%1e9), "of arrivals and holding times")
	flag.BoolVar(&opt.short, "short", false, "seconds instead of minutes: shows that all works, too few samples to judge most bars")
	flag.IntVar(&opt.slots, "slots", 8, "of the service")
	flag.DurationVar(&opt.hold, "hold", 10*time.Millisecond, "`time` for which a request holds its slot, 1ms to 500ms")
	flag.BoolVar(&opt.withPeers, "peers", true, "compare with Caddy, HAProxy and failsafe-go under the same load")
	flag.StringVar(&opt.tidegate, "tidegate", "", "tidegate `file` to measure (default: built from this module)")
	flag.StringVar(&opt.caddy, "caddy", "", "caddy `file` to compare with (default: on PATH, else built from test/caddy.mod)")
	flag.StringVar(&opt.profiles, "profiles", "", "`directory` for a CPU profile of the agent during each overload")
	flag.Parse()
	if *only != "" {
		opt.only = strings.Split(*only, ",")
	}
	if err := opt.check(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "overload:", err)
		os.Exit(2)
	}
	return opt
}

func (o *options) check(args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	if o.slots < 2 || o.slots > 1000 {
		return fmt.Errorf("--slots %d: use 2 to 1000", o.slots)
	}
	if o.hold < time.Millisecond || o.hold > timeout/2 {
		return fmt.Errorf("--hold %s: use 1ms to %s", o.hold, timeout/2)
	}
	known := map[string]bool{}
	for _, name := range names() {
		known[name] = true
	}
	for _, name := range o.only {
		if !known[name] {
			return fmt.Errorf("--only %s: there is no such experiment; there are %s", name, strings.Join(names(), ", "))
		}
	}
	return nil
}
