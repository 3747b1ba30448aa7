// Command devices measures what an idle device costs the edge: a connection that
// speaks MQTT, over TLS and over QUIC, beside a bare server of crypto/tls and of
// quic-go under the same mutual TLS, in one run.
//
// It also opens connections that send nothing, and a device among them.
//
//	go run ./test/devices [--json] [--connections N] [--silent N]
//
// Figures are of the server's process alone: its heap after garbage collection,
// and its stacks. Each server is a process of its own.
//
// Exit status: 0 all bars hold, 1 one does not or a measurement failed, 2 usage.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

type options struct {
	json        bool
	connections int
	silent      int
}

func main() {
	if len(os.Args) == 2 && runRole(os.Args[1]) {
		return
	}
	opt := parseFlags()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	ok, err := run(ctx, opt)
	if err != nil {
		fmt.Fprintln(os.Stderr, "devices:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func parseFlags() options {
	var opt options
	flag.BoolVar(&opt.json, "json", false, "print bars as JSON, one a line; the rest goes to standard error")
	flag.IntVar(&opt.connections, "connections", 5000, "idle devices at each server, 100 to 50000")
	flag.IntVar(&opt.silent, "silent", 10_000, "connections that send nothing, 100 to 50000")
	flag.Parse()
	between := func(n int) bool { return n >= 100 && n <= 50_000 }
	if flag.NArg() > 0 || !between(opt.connections) || !between(opt.silent) {
		fmt.Fprintln(os.Stderr, "devices: --connections and --silent are 100 to 50000, and there are no arguments")
		os.Exit(2)
	}
	return opt
}

func run(ctx context.Context, opt options) (ok bool, err error) {
	l, err := newLab()
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(l.dir)
	cost := map[string]float64{}
	for _, k := range kinds {
		if cost[k.name], err = l.idle(ctx, k, opt.connections); err != nil {
			return false, fmt.Errorf("%s: %w", k.name, err)
		}
		fmt.Fprintf(os.Stderr, "%-10s %6.1f kB a connection\n", k.name, cost[k.name]/1000)
	}
	s, err := l.silent(ctx, opt.silent)
	if err != nil {
		return false, err
	}
	return report(append(barsOf(cost), silentBars(opt.silent, s)...), opt.json), nil
}
