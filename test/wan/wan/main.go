//go:build linux

// Command wan makes a wide-area network of regions on this machine: see package
// wan. docs/regions.md shows how to use it.
//
//	wan up [--regions eu-1,eu-2,us-1] [--seed N] [LINE...]   until Ctrl-C
//	wan do [--socket FILE] LINE...                           'cut eu-1 us-1', 'set eu us rtt=80ms loss=1%', ...
//	wan show [--socket FILE]                                 profiles and counters, JSON
//	wan clean                                                removes what a crashed run left
//
// Without --socket the only network that runs is meant. Exit status: 0 good, 1
// failed, 2 usage.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/tidegate/tidegate/test/wan"
)

var errUsage = errors.New("say what to do: up, do, show or clean")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	switch err := run(ctx, os.Args[1:]); {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage), errors.Is(err, wan.ErrInvalid):
		fmt.Fprintln(os.Stderr, "wan:", err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "wan:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	flags := flag.NewFlagSet("wan "+args[0], flag.ContinueOnError)
	regions := flags.String("regions", "eu-1,eu-2,us-1", "their `names`")
	seed := flags.Uint64("seed", 1, "of loss and jitter")
	socket := flags.String("socket", "", "control API of the network, a `file`")
	if err := flags.Parse(args[1:]); err != nil {
		return errors.Join(errUsage, err)
	}
	switch args[0] {
	case "up":
		wan.Enter()
		return up(ctx, wan.Config{Regions: strings.Split(*regions, ","), Seed: *seed, Setup: flags.Args()})
	case "do", "show":
		if (args[0] == "do") != (flags.NArg() > 0) {
			return fmt.Errorf("%w: lines go with do", errUsage)
		}
		return ask(ctx, *socket, flags.Args())
	case "clean":
		return clean()
	}
	return errUsage
}

func up(ctx context.Context, cfg wan.Config) error {
	if err := clean(); err != nil {
		return err
	}
	w, err := wan.Start(cfg)
	if err != nil {
		return err
	}
	for _, r := range w.Regions() {
		fmt.Printf("%s has the addresses %s, %s and so on\n    inside: %s COMMAND\n", r.Name, r.Addr(1), r.Addr(2), r.Inside())
	}
	fmt.Printf("control: wan do --socket %s 'cut %s %s'\nCtrl-C ends it\n", w.Socket(), cfg.Regions[0], cfg.Regions[len(cfg.Regions)-1])
	<-ctx.Done()
	return w.Close()
}

func ask(ctx context.Context, socket string, lines []string) (err error) {
	if socket == "" {
		if socket, err = wan.OnlySocket(); err != nil {
			return err
		}
	}
	state, err := wan.Ask(ctx, socket, lines...)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(state)
}

func clean() error {
	removed, err := wan.Clean()
	for _, what := range removed {
		fmt.Println("removed", what)
	}
	return err
}
