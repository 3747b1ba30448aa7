package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/config"
	"github.com/tidegate/tidegate/policy"
)

// checked is the outcome of one file or directory.
type checked struct {
	File        string             `json:"file"`
	Kind        fileKind           `json:"kind"`
	Valid       bool               `json:"valid"`
	Warnings    []string           `json:"warnings,omitempty"`
	Diagnostics []admin.Diagnostic `json:"diagnostics,omitempty"`
	err         error
}

func newValidate() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "validate FILE|DIR...",
		Short: "Check config, policy and drill files",
		Long: "Checks each file as the agent would, by what it holds: configuration (with the\n" +
			"certificates it names and the TIDEGATE_* environment), policy or drill. Each file\n" +
			"stands for itself; the *.hcl of a directory belong together.\n" +
			"Exit status 1 and diagnostics with file and line when something is wrong.",
		Args: cobra.MinimumNArgs(1),
	}
	flags := addConfigFlags(cmd)
	jsonFlag(cmd, &asJSON)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var failed error
		for _, arg := range args {
			results, err := validateOne(arg, flags)
			if err != nil {
				return err
			}
			for _, result := range results {
				show(cmd, result, asJSON)
				if !result.Valid {
					failed = errReported
				}
			}
		}
		return failed
	}
	return cmd
}

func validateOne(arg string, flags *configFlags) ([]checked, error) {
	info, err := os.Stat(arg)
	if err != nil {
		return nil, usageError{fmt.Errorf("cannot read the file: %w", err)}
	}
	files := []string{arg}
	if info.IsDir() {
		if files, err = config.Files(arg); err != nil {
			return nil, usageError{err}
		}
	}
	byKind := map[fileKind][]policy.File{}
	for _, file := range files {
		src, err := readSource(file)
		if err != nil {
			return nil, err
		}
		kind := detect(file, src)
		byKind[kind] = append(byKind[kind], policy.File{Name: file, Src: src})
	}
	return validateKinds(arg, byKind, flags)
}

func validateKinds(arg string, byKind map[fileKind][]policy.File, flags *configFlags) ([]checked, error) {
	var out []checked
	if files := byKind[kindConfig]; len(files) > 0 {
		result, err := validateConfig(arg, files, flags)
		if err != nil {
			return nil, err
		}
		out = append(out, result)
	}
	if files := byKind[kindPolicy]; len(files) > 0 {
		_, err := policy.Parse(files...)
		out = append(out, outcome(arg, kindPolicy, err))
	}
	for _, file := range byKind[kindDrill] {
		out = append(out, outcome(file.Name, kindDrill, validateDrill(file.Name)))
	}
	return out, nil
}

func validateConfig(arg string, files []policy.File, flags *configFlags) (checked, error) {
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = file.Name
	}
	loaded, err := flags.load(names)
	var usage usageError
	if errors.As(err, &usage) {
		return checked{}, err
	}
	result := outcome(arg, kindConfig, err)
	if loaded != nil {
		result.Warnings = loaded.Warnings
	}
	return result, nil
}

func outcome(file string, kind fileKind, err error) checked {
	return checked{File: file, Kind: kind, Valid: err == nil, Diagnostics: diagnosticsOf(err), err: err}
}

// diagnosticsOf turns the errors of all readers into one form.
func diagnosticsOf(err error) []admin.Diagnostic {
	var ours *config.Error
	var policys policy.Diagnostics
	var out []admin.Diagnostic
	switch {
	case err == nil:
	case errors.As(err, &ours):
		for _, d := range ours.Diagnostics {
			out = append(out, admin.Diagnostic{File: d.File, Line: d.Line, Column: d.Column, Summary: d.Message})
		}
	case errors.As(err, &policys):
		for _, d := range policys {
			out = append(out, admin.Diagnostic{File: d.File, Line: d.Line, Column: d.Column, Summary: d.Problem, Detail: d.Fix, Text: d.Text})
		}
	default:
		out = append(out, admin.Diagnostic{Summary: err.Error()})
	}
	return out
}

func show(cmd *cobra.Command, result checked, asJSON bool) {
	if asJSON {
		line, err := json.Marshal(result)
		if err == nil {
			fmt.Fprintln(cmd.OutOrStdout(), string(line))
		}
		return
	}
	for _, warning := range result.Warnings {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: warning: %s\n", result.File, warning)
	}
	if result.err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), strings.TrimSpace(result.err.Error()))
		return
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: %s is valid\n", result.File, result.Kind)
}
