package cli

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/agent/admin"
)

func newDrain() *cobra.Command {
	return drainCommand("drain", "Take an agent out of traffic; it keeps running", true)
}

func newUndrain() *cobra.Command {
	return drainCommand("undrain", "Bring a drained agent back into traffic", false)
}

func drainCommand(use, short string, drain bool) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs}
	flags := addAdminFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		answer, err := fetch[admin.DrainAnswer](cmd, flags, http.MethodPost, admin.PathDrain, admin.DrainRequest{Drain: drain})
		if err != nil || flags.json {
			return err
		}
		state := "takes traffic"
		if answer.Draining {
			state = "is draining"
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s, %d in flight\n", printable(answer.Agent), state, answer.InFlight)
		return err
	}
	return cmd
}
