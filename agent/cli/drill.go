package cli

import (
	"encoding/json"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/agent/config"
	"github.com/tidegate/tidegate/agent/drill"
)

func newDrill() *cobra.Command {
	cmd := &cobra.Command{Use: "drill", Short: "Rehearse failures", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return usagef("drill: say what to do: tidegate drill run FILE") }}
	cmd.AddCommand(newDrillRun())
	return cmd
}

func newDrillRun() *cobra.Command {
	var asJSON bool
	var level string
	seed := uint64(time.Now().UnixNano())
	cmd := &cobra.Command{
		Use:   "run FILE",
		Short: "Run a drill on a mesh of its own and judge its invariants",
		Long: "Starts a development mesh, applies the load and the faults of the file on its time line,\n" +
			"and prints a verdict for each invariant. Ends with 1 when one breaks.",
		Args: cobra.ExactArgs(1),
	}
	jsonFlag(cmd, &asJSON)
	cmd.Flags().StringVar(&level, "log", "error", "log level of the agents: debug, info, warn, error")
	cmd.Flags().Uint64Var(&seed, "seed", seed, "of the load's mix; default: the time")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		d, err := drill.ReadFile(args[0])
		if err != nil {
			return usageError{err}
		}
		progress := cmd.OutOrStdout()
		if asJSON {
			progress = io.Discard
		}
		report, err := drill.Run(cmd.Context(), d, drill.Options{
			Progress: progress, Seed: seed,
			Logger: newLogger(config.Log{Level: level}, cmd.ErrOrStderr()),
		})
		if err != nil {
			return err
		}
		if asJSON {
			err = json.NewEncoder(cmd.OutOrStdout()).Encode(report)
		} else {
			report.Print(cmd.OutOrStdout())
		}
		if err == nil && !report.Pass {
			return errReported
		}
		return err
	}
	return cmd
}
