// Package cli holds the tidegate commands, one file each.
package cli

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Main runs the command line and returns the exit status: 0 good, 1 failed, 2
// usage or bad input. Commands get a context that SIGINT and SIGTERM end.
func Main(args []string, stdout, stderr io.Writer) (status int) {
	defer func() {
		if fault := recover(); fault != nil {
			fmt.Fprintf(stderr, "tidegate: internal error: %v\n", fault)
			status = exitFailed
		}
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return report(root.ExecuteContext(ctx), stderr)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "tidegate",
		Short: "Multi-region mesh sidecar agent for IoT cloud edges",
		Long: "Tidegate takes device traffic over QUIC at the edge of a region, routes each\n" +
			"message to a service, and fails over to other regions when this one cannot serve.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(*cobra.Command, []string) error { return usagef("say what to do: see tidegate --help") },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(commands()...)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	argumentsAreUsage(root)
	return root
}

func commands() []*cobra.Command {
	return []*cobra.Command{
		newValidate(), newFmt(), newTLS(), newKeygen(), newVersion(),
		newAgent(), newDev(), newBench(), newDrill(), newFault(), newDevice(),
		newMembers(), newRegions(), newRegion(), newServices(), newDevices(), newExplain(), newPolicy(), newDrain(), newUndrain(),
	}
}

// argumentsAreUsage makes a wrong number of arguments, anywhere in the tree, a
// usage error.
func argumentsAreUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usageError{fmt.Errorf("%s: %w: usage: %s", c.CommandPath(), err, c.UseLine())}
			}
			return nil
		}
	}
	for _, child := range cmd.Commands() {
		argumentsAreUsage(child)
	}
}
