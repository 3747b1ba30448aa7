package config

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// Env looks up one environment variable, as os.LookupEnv does.
type Env func(name string) (string, bool)

// functions are what expressions of the files in dir may call.
func functions(dir string, env Env) *hcl.EvalContext {
	return &hcl.EvalContext{Functions: map[string]function.Function{
		"env": textFunction("name", func(name string) (string, error) {
			if value, set := env(name); set {
				return value, nil
			}
			return "", fmt.Errorf("the environment variable %s is not set", name)
		}),
		"file": textFunction("path", func(path string) (string, error) {
			src, err := readLimited(absolute(dir, path))
			return strings.TrimRight(string(src), "\r\n"), err
		}),
	}}
}

func textFunction(param string, call func(string) (string, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: param, Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			text, err := call(args[0].AsString())
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			return cty.StringVal(text), nil
		},
	})
}

func absolute(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
