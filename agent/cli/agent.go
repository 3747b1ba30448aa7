package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/agent"
	"github.com/tidegate/tidegate/agent/config"
)

func newAgent() *cobra.Command {
	var paths []string
	cmd := &cobra.Command{
		Use:   "agent --config FILE|DIR",
		Short: "Run one agent until SIGTERM, which drains it",
		Long: "Runs one agent. SIGTERM and SIGINT drain it: it stops being ready, deregisters, sends\n" +
			"GOAWAY, and ends when what is in flight is done or drain_timeout is over. SIGHUP loads\n" +
			"the policy file, the certificates and the list of refused peers again.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringArrayVar(&paths, "config", nil, "configuration `file`, or a folder of *.hcl; repeatable")
	flags := addConfigFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if len(paths) == 0 {
			return usagef("agent: say which configuration: --config FILE")
		}
		return runAgent(cmd.Context(), func() (*config.Config, error) { return flags.load(paths) }, cmd.ErrOrStderr())
	}
	return cmd
}

func runAgent(ctx context.Context, load func() (*config.Config, error), out io.Writer) error {
	cfg, err := load()
	if err != nil {
		return err
	}
	logger := newLogger(cfg.Log, out)
	for _, w := range cfg.Warnings {
		logger.Warn(w)
	}
	err = agent.Run(ctx, cfg, agent.Options{
		Version: Version(),
		Logger:  logger,
		Access:  slog.New(slog.NewJSONHandler(out, nil)),
		Reread:  load,
	}, hangups(ctx))
	return placed(err, cfg)
}

// placed adds where the configuration names an address that cannot be opened.
func placed(err error, cfg *config.Config) error {
	var socket *agent.SocketError
	if !errors.As(err, &socket) {
		return err
	}
	if place := cfg.Place(socket.Key + ".addr"); place != "" {
		err = fmt.Errorf("%s: %w", place, err)
	}
	return usageError{err}
}

// hangups turns SIGHUP into values on a channel until ctx ends.
func hangups(ctx context.Context) <-chan struct{} {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	reload := make(chan struct{})
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			select {
			case <-ctx.Done():
				return
			case reload <- struct{}{}:
			}
		}
	}()
	return reload
}

func newLogger(c config.Log, out io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // checked when the configuration was read
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(out, options))
	}
	return slog.New(slog.NewTextHandler(out, options))
}
