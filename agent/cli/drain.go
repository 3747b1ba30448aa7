package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/agent/admin"
)

func newDrain() *cobra.Command {
	var rate string
	cmd, flags := drainCommand("drain", "Take an agent out of traffic; it keeps running")
	cmd.Long = "New devices stay away from the agent, as far as its readiness and its registration keep them. With\n" +
		"--rate those that are there are told to go, so many a second, to an agent that has room; the command\n" +
		"then lasts until all are gone."
	cmd.Example = "  tidegate drain --rate 500/s"
	cmd.Flags().StringVar(&rate, "rate", "", "have so many `devices` a second go elsewhere, such as 500/s")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		request := admin.DrainRequest{Drain: true}
		if rate != "" {
			perSecond, err := strconv.ParseFloat(strings.TrimSuffix(rate, "/s"), 64)
			if err != nil || perSecond <= 0 {
				return usagef("drain: --rate %s: write how many devices a second, such as 500/s", rate)
			}
			request.PerSecond = perSecond
		}
		for {
			answer, err := setDraining(cmd, flags, request)
			if err != nil || rate == "" || answer.Connections == 0 {
				return err
			}
			if err := pause(cmd.Context(), time.Second); err != nil {
				return err
			}
		}
	}
	return cmd
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func newUndrain() *cobra.Command {
	cmd, flags := drainCommand("undrain", "Bring a drained agent back into traffic")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		_, err := setDraining(cmd, flags, admin.DrainRequest{})
		return err
	}
	return cmd
}

func drainCommand(use, short string) (*cobra.Command, *adminFlags) {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs}
	return cmd, addAdminFlags(cmd)
}

func setDraining(cmd *cobra.Command, flags *adminFlags, request admin.DrainRequest) (*admin.DrainAnswer, error) {
	answer, err := fetch[admin.DrainAnswer](cmd, flags, http.MethodPost, admin.PathDrain, request)
	if err != nil || flags.json {
		return answer, err
	}
	return answer, writeDrain(cmd.OutOrStdout(), answer)
}

func writeDrain(w io.Writer, a *admin.DrainAnswer) error {
	state := "takes traffic"
	if a.Draining {
		state = "is draining"
	}
	_, err := fmt.Fprintf(w, "%s %s, %d connections, %d in flight\n", printable(a.Agent), state, a.Connections, a.InFlight)
	return err
}
