package cli

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/agent/admin"
)

func newDevices() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "devices",
		Short: "List devices with a session at an agent, look for one, or end what it has",
		Long: "Devices that speak MQTT, or listen for commands over HTTP, have sessions. What only sends requests has none\n" +
			"and is not listed.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usagef("devices: say what to do: list, show ID or kick ID")
		},
	}
	cmd.AddCommand(devicesList(), deviceCommand("show", "Look for a device in all regions", http.MethodGet),
		deviceCommand("kick", "End the sessions and connections of a device; it may come back, unless the policy denies it", http.MethodDelete))
	return cmd
}

func devicesList() *cobra.Command {
	var after string
	var limit int
	cmd := &cobra.Command{Use: "list", Short: "List the devices that have a session at one agent, by id", Args: cobra.NoArgs}
	flags := addAdminFlags(cmd)
	cmd.Flags().StringVar(&after, "after", "", "begin after this `id`")
	cmd.Flags().IntVar(&limit, "limit", 100, "show so many `devices` at most, up to 10000")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query := url.Values{"after": {after}, "limit": {strconv.Itoa(limit)}}
		ans, err := fetch[admin.DevicesAnswer](cmd, flags, http.MethodGet, admin.PathDevices+"?"+query.Encode(), nil)
		if err != nil || flags.json {
			return err
		}
		if err := sessionTable(cmd, ans.Devices); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%d devices at %s\n", ans.Total, printable(ans.Agent))
		if ans.Next != "" {
			fmt.Fprintf(cmd.OutOrStdout(), "more: --after %s\n", printable(ans.Next))
		}
		return nil
	}
	return cmd
}

func deviceCommand(use, short, method string) *cobra.Command {
	cmd := &cobra.Command{Use: use + " ID", Short: short, Args: cobra.ExactArgs(1)}
	flags := addAdminFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ans, err := fetch[admin.DeviceAnswer](cmd, flags, method, admin.PathDevices+"/"+url.PathEscape(args[0]), nil)
		if err != nil {
			return err
		}
		if !flags.json {
			if err := sessionTable(cmd, ans.Sessions); err != nil {
				return err
			}
		}
		switch {
		case len(ans.Missing) > 0:
			return fmt.Errorf("devices %s: no answer from %s", use, printable(strings.Join(ans.Missing, ", ")))
		case len(ans.Sessions) == 0:
			return fmt.Errorf("devices %s: nobody has a session of %s", use, printable(args[0]))
		}
		return nil
	}
	return cmd
}

func sessionTable(cmd *cobra.Command, sessions []admin.DeviceSession) error {
	t := newTable(cmd.OutOrStdout(), "DEVICE", "AGENT", "REGION", "PROTOCOL", "CLIENT", "STATE", "FOR", "WAITING", "FROM", "FILTERS")
	for _, s := range sessions {
		state, since := "connected", s.AgeSeconds
		if !s.Connected {
			state, since = "away", s.AwaySeconds
		}
		t.row(s.Device, s.Agent, s.Region, s.Protocol, s.Client, state, span(&since), strconv.Itoa(s.Waiting), s.Remote, strings.Join(s.Filters, " "))
	}
	return t.flush()
}
