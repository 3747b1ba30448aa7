package cli

import (
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/agent/config"
	"github.com/tidegate/tidegate/agent/dev"
)

func newDev() *cobra.Command {
	cfg := dev.RunConfig{Mesh: dev.Config{Version: Version()}}
	level := "error"
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a whole mesh on this machine: regions, services, devices",
		Long: "Runs several regions of production agents in one process on loopback, with a throw-away\n" +
			"authority, sample services and simulated devices. Ctrl-C stops it and leaves nothing behind.",
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.IntVar(&cfg.Mesh.Regions, "regions", 3, "regions, 1 to 9")
	f.IntVar(&cfg.Mesh.Agents, "agents", 2, "agents a region, 1 to 8")
	f.IntVar(&cfg.Devices, "devices", 30, "simulated devices; 0: none")
	f.Float64Var(&cfg.Rate, "rate", 60, "requests a second, all devices together")
	f.StringVar(&cfg.Mesh.Bind, "bind", "127.0.0.1", "IP address to listen on")
	f.StringVar(&cfg.Mesh.Token, "token", "", "shared `token` by which any client is a device: as password of the user name that is its id, or alone as bearer token; default: a random one")
	f.DurationVar(&cfg.For, "for", 0, "stop after this long; 0: run until Ctrl-C")
	f.DurationVar(&cfg.Mesh.Latency, "latency", 20*time.Millisecond, "how long a sample service takes, holding one of its slots")
	f.IntVar(&cfg.Mesh.Capacity, "capacity", 8, "slots: requests at a time that an instance of a sample service serves; more wait in its queue")
	f.StringVar(&level, "log", level, "log level of the agents: debug, info, warn, error")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var err error
		if cfg.Mesh.Logger, err = levelLogger(level, cmd); err != nil {
			return err
		}
		cfg.Out = cmd.OutOrStdout()
		return dev.Run(cmd.Context(), cfg)
	}
	return cmd
}

// levelLogger logs what agents of a development mesh say to standard error.
func levelLogger(level string, cmd *cobra.Command) (*slog.Logger, error) {
	if err := new(slog.Level).UnmarshalText([]byte(level)); err != nil {
		return nil, usagef("--log %q: use debug, info, warn or error", level)
	}
	return newLogger(config.Log{Level: level}, cmd.ErrOrStderr()), nil
}
