package cli

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/agent/config"
)

// configFlags are the flags that stand over the environment and files.
type configFlags struct {
	set []string
}

// addConfigFlags gives a command --set.
func addConfigFlags(cmd *cobra.Command) *configFlags {
	f := &configFlags{}
	cmd.Flags().StringArrayVar(&f.set, "set", nil,
		"set a `key=value` of the configuration over files and TIDEGATE_* environment, e.g. listeners.edge.addr=:8443; repeatable")
	return f
}

// load reads the configuration with the environment and the flags over it.
func (f *configFlags) load(paths []string) (*config.Config, error) {
	values, err := pairs("--set", f.set)
	if err != nil {
		return nil, err
	}
	return config.Load(paths, os.LookupEnv, values)
}

// pairs reads repeated key=value flags.
func pairs(flag string, list []string) (map[string]string, error) {
	out := make(map[string]string, len(list))
	for _, text := range list {
		key, value, found := strings.Cut(text, "=")
		if !found || key == "" {
			return nil, usagef("%s %q is not key=value", flag, key)
		}
		out[key] = value
	}
	return out, nil
}
