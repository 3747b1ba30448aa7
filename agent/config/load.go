package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Load reads files, or directories of *.hcl, applies the environment and then
// flags (values by key), fills in defaults, and checks everything that can be
// checked without opening a socket: certificates and keys are read and matched.
// Environment variables that are empty count as not set.
//
// The error is an *Error with a place for each fault, kind ErrInvalid. Nothing
// is returned by half and no file is written.
func Load(paths []string, env Env, flags map[string]string) (*Config, error) {
	files, err := expand(paths)
	if err != nil {
		return nil, &Error{[]Diagnostic{{Message: err.Error()}}}
	}
	l := newLoader(env)
	l.files = files
	bodies := l.read(files)
	if len(l.faults) == 0 {
		l.body(hcl.MergeBodies(bodies), reflect.ValueOf(l.config).Elem(), "")
		l.overrides(flags)
	}
	return l.finish()
}

func newLoader(env Env) *loader {
	return &loader{
		env: env, config: Defaults(),
		origins: map[string]origin{}, contexts: map[string]*hcl.EvalContext{},
	}
}

func (l *loader) read(files []string) []hcl.Body {
	var bodies []hcl.Body
	for _, name := range files {
		src, err := readLimited(name)
		if err != nil {
			l.faults = append(l.faults, Diagnostic{Message: "read configuration: " + err.Error()})
			continue
		}
		file, faults := parse(name, src)
		l.faults = append(l.faults, faults...)
		if file != nil {
			bodies = append(bodies, file.Body)
		}
	}
	if len(files) > 0 {
		l.origins[""] = origin{place: &hcl.Range{Filename: files[0]}}
	}
	return bodies
}

// finish checks the whole unless reading it failed already: a missing value
// would be reported twice.
func (l *loader) finish() (*Config, error) {
	if len(l.faults) == 0 {
		l.check()
	}
	if len(l.faults) > 0 {
		return nil, &Error{l.faults}
	}
	l.config.places = l.origins
	return l.config, nil
}

func (l *loader) overrides(flags map[string]string) {
	known := Keys()
	for _, key := range known {
		if text, set := l.env(EnvName(key)); set && text != "" {
			l.override(key, text, "environment "+EnvName(key))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(flags)) {
		if !slices.Contains(known, key) {
			l.faults = append(l.faults, Diagnostic{Message: fmt.Sprintf("--set %s: there is no such key", key)})
			continue
		}
		l.override(key, flags[key], "--set "+key)
	}
}

func (l *loader) override(key, text, label string) {
	f := fieldAt(reflect.ValueOf(l.config).Elem(), key)
	l.origins[key] = origin{label: label}
	texts := []string{text}
	if f.value.Kind() == reflect.Slice {
		texts = splitList(text)
	}
	if err := assign(f, texts, workingDir()); err != nil {
		l.fault(key, "%v", err)
	}
}

// fieldAt finds the field of a known key and opens the blocks on the way.
func fieldAt(v reflect.Value, key string) field {
	name, rest, deeper := strings.Cut(key, ".")
	for _, f := range fieldsOf(v) {
		if f.name != name {
			continue
		}
		if deeper {
			return fieldAt(f.open(), rest)
		}
		return f
	}
	panic("config: no field for key " + key)
}

func parentOf(key string) string {
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		return key[:i]
	}
	return ""
}
