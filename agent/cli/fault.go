package cli

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/agent/admin"
)

func newFault() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fault",
		Short: "Inject faults by hand, each for a time: add, list, clear",
		Long: "Injects faults into a mesh whose agents were started with fault { enabled = true }, or into that\n" +
			"of `tidegate dev`, through any agent. Each ends by itself when its time is over.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return usagef("fault: say what to do: add, list or clear") },
	}
	cmd.AddCommand(newFaultAdd(), newFaultList(), newFaultClear())
	return cmd
}

// operatorFlag is for what needs the operator's token.
func operatorFlag(cmd *cobra.Command, f *adminFlags) {
	cmd.Flags().StringVar(&f.operator, "operator", "", "the operator's `token`, fault.token of the agents; $TIDEGATE_OPERATOR_TOKEN keeps it off the process list")
}

func newFaultAdd() *cobra.Command {
	var id string
	var span time.Duration
	cmd := &cobra.Command{
		Use:   "add KIND [FIELD=VALUE...] --for TIME",
		Short: "Put a fault in force",
		Long:  "Kinds, and the fields they need and [may have]:\n\n" + admin.FaultKinds("  ") + "\ndocs/drills.md says what each does.",
		Example: "  tidegate fault add region_outage region=eu-2 --for 30s\n" +
			"  tidegate fault add loss from=eu-1 to=us-1 share=20% --for 1m\n" +
			"  tidegate fault add service_fault region=eu-1 service=alarms share=10% status=503 --for 5m",
		Args: cobra.MinimumNArgs(1),
	}
	flags := addAdminFlags(cmd)
	operatorFlag(cmd, flags)
	cmd.Flags().DurationVar(&span, "for", 0, "it ends by itself after this `time`, at most 1h; required")
	cmd.Flags().StringVar(&id, "id", "", "its `name` (default: the kind and where)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f, err := faultOf(args)
		if err != nil {
			return err
		}
		f.Seconds, f.ID = span.Seconds(), firstOf(id, strings.Join(args, " "))
		if err := f.Check(); err != nil {
			return usageError{err}
		}
		answer, err := fetch[admin.FaultsAnswer](cmd, flags, http.MethodPost, admin.PathFaults, f)
		if err != nil || flags.json {
			return err
		}
		return printFaults(cmd, answer)
	}
	return cmd
}

func faultOf(args []string) (f admin.Fault, err error) {
	f.Kind = args[0]
	for _, arg := range args[1:] {
		field, value, ok := strings.Cut(arg, "=")
		if !ok {
			return f, usagef("fault add: %q is not FIELD=VALUE", arg)
		}
		if err := f.Set(field, value); err != nil {
			return f, usageError{err}
		}
	}
	return f, nil
}

func newFaultList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the faults in force", Args: cobra.NoArgs}
	flags := addAdminFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		answer, err := fetch[admin.FaultsAnswer](cmd, flags, http.MethodGet, admin.PathFaults, nil)
		if err != nil || flags.json {
			return err
		}
		return printFaults(cmd, answer)
	}
	return cmd
}

func newFaultClear() *cobra.Command {
	cmd := &cobra.Command{Use: "clear [ID]", Short: "End a fault, or all of them", Args: cobra.MaximumNArgs(1)}
	flags := addAdminFlags(cmd)
	operatorFlag(cmd, flags)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := flags.client()
		if err != nil {
			return err
		}
		ids := args
		if len(args) == 0 {
			raw, err := client.ask(cmd.Context(), http.MethodGet, admin.PathFaults, nil)
			if err != nil {
				return err
			}
			answer, err := decode[admin.FaultsAnswer](client, raw)
			if err != nil {
				return err
			}
			for _, f := range answer.Faults {
				ids = append(ids, f.ID)
			}
		}
		for _, id := range ids {
			if _, err := client.ask(cmd.Context(), http.MethodDelete, admin.PathFaults+"/"+url.PathEscape(id), nil); err != nil {
				return err
			}
			if !flags.json {
				fmt.Fprintf(cmd.OutOrStdout(), "ended: %s\n", printable(id))
			}
		}
		return nil
	}
	return cmd
}

func printFaults(cmd *cobra.Command, answer *admin.FaultsAnswer) error {
	if len(answer.Faults) == 0 {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "no fault is in force")
		return err
	}
	t := newTable(cmd.OutOrStdout(), "ID", "FAULT", "LEFT")
	for _, f := range answer.Faults {
		t.row(f.ID, f.String(), span(&f.RemainingSeconds))
	}
	return t.flush()
}
