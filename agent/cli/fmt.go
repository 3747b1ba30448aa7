package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/agent/config"
	"github.com/tidegate/tidegate/policy"
)

func newFmt() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "fmt FILE...",
		Short: "Lay out config, policy and drill files the canonical way",
		Long: "Rewrites the files in place and prints the names of those that changed.\n" +
			"A file with a syntax error is left as it is.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			var failed error
			for _, file := range files {
				if err := formatOne(cmd, file, check); err != nil {
					failed = errors.Join(failed, err)
				}
			}
			return failed
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "change nothing, fail when a file would change")
	return cmd
}

func formatOne(cmd *cobra.Command, file string, check bool) error {
	src, err := readSource(file)
	if err != nil {
		return err
	}
	out, err := format(file, src)
	if err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), err)
		return errReported
	}
	if bytes.Equal(src, out) {
		return nil
	}
	fmt.Fprintln(cmd.OutOrStdout(), file)
	if check {
		return errReported
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	return replaceFile(file, out, info.Mode().Perm())
}

func format(file string, src []byte) ([]byte, error) {
	if detect(file, src) == kindPolicy {
		return policy.Format(file, src)
	}
	return config.Format(file, src)
}
