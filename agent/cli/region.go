package cli

import (
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/agent/admin"
)

func newRegion() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "region",
		Short: "Give an operator's word on a region: evacuate, pin, freeze, release",
		Long: "Tells the whole mesh, through any agent, how to treat a region. The last word on a region\n" +
			"holds, until its time is over or it is released; `tidegate regions` shows it.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usagef("region: say what to do: evacuate, pin, freeze or release REGION")
		},
	}
	cmd.AddCommand(
		regionCommand("evacuate", "Give a region no new traffic, its own devices' included"),
		regionCommand("pin", "Let a region serve its own demand: it neither spills nor takes spill"),
		regionCommand("freeze", "Leave the shares of a region's demand as they are"),
		regionCommand(admin.ActionRelease, "Take back the word on a region"),
	)
	return cmd
}

func regionCommand(action, short string) *cobra.Command {
	request := admin.OverrideRequest{Action: action}
	var span time.Duration
	cmd := &cobra.Command{
		Use:     action + " REGION",
		Short:   short,
		Example: "  tidegate region " + action + " eu-2",
		Args:    cobra.ExactArgs(1),
	}
	flags := addAdminFlags(cmd)
	if action != admin.ActionRelease {
		cmd.Example += " --reason 'new switches' --for 30m"
		cmd.Flags().StringVar(&request.Reason, "reason", "", "`why`, for who looks at it")
		cmd.Flags().DurationVar(&span, "for", 0, "release it by itself after this long; 0: not")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		request.Region, request.ForSeconds = args[0], span.Seconds()
		if err := request.Check(); err != nil {
			return usageError{err}
		}
		answer, err := fetch[admin.OverrideAnswer](cmd, flags, http.MethodPost, admin.PathOverride, request)
		if err != nil || flags.json {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", printable(answer.Region), override(answer.Override))
		return err
	}
	return cmd
}

// override prints an operator's word in one line.
func override(o *admin.Override) string {
	if o == nil {
		return "released"
	}
	text := o.Kind
	if o.By != "" {
		text += " by " + o.By
	}
	if o.LeftSeconds != nil {
		text += ", " + span(o.LeftSeconds) + " left"
	} else {
		text += ", until released"
	}
	if o.Reason != "" {
		text += ": " + o.Reason
	}
	return printable(text)
}
