// Command bench measures what a request costs the agent, beside a bare quic-go
// HTTP/3 handler (the floor) and Caddy as HTTP/3 reverse proxy (a peer), on the
// same backend under the same load, in one run.
//
//	go run ./test/bench [--json] [--short] [--tidegate FILE] [--caddy FILE]
//
// The load is a closed loop of 200-byte POSTs over 32 connections with 8
// streams each, made by this process; each server and the backend is a process
// of its own. The agent is also measured with the same messages published over
// MQTT at QoS 1, on TLS and on QUIC. Runs are interleaved and the median of five counts. CPU is user
// plus system time of the server's process alone, after a warm-up. Linux only.
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

// The programs this one runs of itself, as the only argument.
const (
	roleBackend = "serve-backend"
	roleBare    = "serve-bare"
)

type options struct {
	json            bool
	rounds          int
	warmup, window  time.Duration
	tidegate, caddy string
}

func main() {
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case roleBackend:
			exitOn(serveBackend())
		case roleBare:
			exitOn(serveBare())
		}
	}
	opt := parseFlags()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, opt.limit())
	defer cancel()
	ok, err := run(ctx, opt)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func exitOn(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

func parseFlags() options {
	opt := options{rounds: 5, warmup: 700 * time.Millisecond, window: 3 * time.Second}
	short := flag.Bool("short", false, "three rounds of one second: shows that all works, measures roughly")
	flag.BoolVar(&opt.json, "json", false, "print bars as JSON, one a line; the table goes to standard error")
	flag.StringVar(&opt.tidegate, "tidegate", "", "tidegate `file` to measure (default: built from this module)")
	flag.StringVar(&opt.caddy, "caddy", "", "caddy `file` to measure (default: on PATH, else built from test/caddy.mod)")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "bench: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	if *short {
		opt.rounds, opt.warmup, opt.window = 3, 300*time.Millisecond, time.Second
	}
	return opt
}

// limit bounds the whole run: building Caddy takes minutes, once.
func (o options) limit() time.Duration {
	return 15*time.Minute + time.Duration(3*o.rounds)*(o.warmup+o.window+10*time.Second)
}

func run(ctx context.Context, opt options) (ok bool, err error) {
	b, err := newBench(ctx, opt)
	if err != nil {
		return false, err
	}
	defer b.close()
	for round := range opt.rounds {
		for i := range b.targets {
			t := b.targets[(round+i)%len(b.targets)]
			s, err := measure(ctx, t, b.client, opt.warmup, opt.window)
			if err != nil {
				return false, fmt.Errorf("measure %s: %w", t.name, err)
			}
			t.samples = append(t.samples, s)
			fmt.Fprintf(os.Stderr, "round %d/%d %-9s %s\n", round+1, opt.rounds, t.name, s)
		}
	}
	return report(b.targets, opt.json), nil
}
