package cli

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/policy"
)

func newPolicy() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Read or replace the policy of the mesh",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return usagef("say which: tidegate policy get or apply") },
	}
	cmd.AddCommand(newPolicyGet(), newPolicyApply())
	return cmd
}

func newPolicyGet() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get",
		Short: "Print the policy in force",
		Long: "Prints the sources of the policy in force on standard output; on standard error its\n" +
			"version, and why a newer one was refused.",
		Args: cobra.NoArgs,
	}
	flags := addAdminFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		answer, err := fetch[admin.PolicyAnswer](cmd, flags, http.MethodGet, admin.PathPolicy, nil)
		if err != nil || flags.json {
			return err
		}
		printRefused(cmd.ErrOrStderr(), answer)
		return printSources(cmd.OutOrStdout(), answer.Files)
	}
	return cmd
}

func printRefused(out io.Writer, a *admin.PolicyAnswer) {
	if a.Version == "" {
		fmt.Fprintf(out, "no policy in force yet; source %s\n", printable(a.Source))
	} else {
		fmt.Fprintf(out, "version %s from %s, in force since %s\n", printable(a.Version), printable(a.Source), a.Since.Format(time.RFC3339))
	}
	if a.Refused != nil {
		fmt.Fprintf(out, "a newer one was refused at %s:\n%s\n", a.Refused.At.Format(time.RFC3339), a.Refused.Error)
	}
}

func printSources(out io.Writer, files []admin.PolicyFile) error {
	for _, file := range files {
		if len(files) > 1 {
			fmt.Fprintf(out, "# %s\n", printable(file.Name))
		}
		if _, err := fmt.Fprintln(out, strings.TrimSuffix(file.Source, "\n")); err != nil {
			return err
		}
	}
	return nil
}

func newPolicyApply() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "apply FILE...",
		Short: "Check a policy and write it to every datacenter",
		Long: "Checks the policy here, then has the agent write it to the key-value store of every\n" +
			"datacenter. Exit status 1 when one could not be written: it keeps the old policy.",
		Args: cobra.MinimumNArgs(1),
	}
	flags := addAdminFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, paths []string) error {
		body, err := readPolicy(paths)
		if err != nil {
			return err
		}
		answer, err := fetch[admin.PolicyApplied](cmd, flags, http.MethodPut, admin.PathPolicy, body)
		if err == nil && !flags.json {
			err = printApplied(cmd.OutOrStdout(), answer)
		}
		if err != nil {
			return err
		}
		return stragglers(answer)
	}
	return cmd
}

func readPolicy(paths []string) (admin.PolicyApply, error) {
	var body admin.PolicyApply
	var files []policy.File
	for _, path := range paths {
		src, err := readSource(path)
		if err != nil {
			return body, err
		}
		files = append(files, policy.File{Name: path, Src: src})
		body.Files = append(body.Files, admin.PolicyFile{Name: filepath.Base(path), Source: string(src)})
	}
	if _, err := policy.Parse(files...); err != nil {
		return body, fmt.Errorf("the policy is not valid, nothing was sent:\n%w", err)
	}
	return body, nil
}

func printApplied(out io.Writer, a *admin.PolicyApplied) error {
	t := newTable(out, "DATACENTER", "POLICY", "ERROR")
	for _, dc := range a.Datacenters {
		if dc.Error != "" {
			t.row(dc.Name, "", dc.Error)
		} else {
			t.row(dc.Name, a.Version, "")
		}
	}
	return t.flush()
}

// stragglers is an error when a datacenter did not take the policy.
func stragglers(a *admin.PolicyApplied) error {
	behind := 0
	for _, dc := range a.Datacenters {
		if dc.Error != "" {
			behind++
		}
	}
	if behind == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d datacenters keep the old policy: apply again when they are back", behind, len(a.Datacenters))
}
