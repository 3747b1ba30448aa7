package config

import (
	"reflect"
	"strings"
)

// field is one attribute or block of a configuration struct, as its tags say.
type field struct {
	name    string
	block   bool
	path    bool // a path of the file system
	foreign bool // a block that another package's tags describe
	value   reflect.Value
}

func fieldsOf(v reflect.Value) []field {
	var out []field
	for i := range v.NumField() {
		tag, found := v.Type().Field(i).Tag.Lookup("hcl")
		if !found {
			continue
		}
		name, kind, _ := strings.Cut(tag, ",")
		is := v.Type().Field(i).Tag.Get("is")
		out = append(out, field{name, kind == "block", is == "path", is == "foreign", v.Field(i)})
	}
	return out
}

// open returns the struct of a block, made and preset when it is optional and
// was not there.
func (f field) open() reflect.Value {
	if f.value.Kind() != reflect.Pointer {
		return f.value
	}
	if f.value.IsNil() {
		f.value.Set(reflect.New(f.value.Type().Elem()))
		presets(f.value.Interface())
	}
	return f.value.Elem()
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

// EnvName returns the environment variable of a key: TIDEGATE_ and the key in
// capitals, dots as underscores.
func EnvName(key string) string {
	return "TIDEGATE_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// Keys lists the keys that the environment and flags can set, in the order of
// the documentation.
func Keys() []string { return keysOf(reflect.TypeFor[Config](), "") }

func keysOf(t reflect.Type, prefix string) []string {
	var out []string
	for _, f := range fieldsOf(reflect.New(t).Elem()) {
		key := join(prefix, f.name)
		switch {
		case f.foreign:
		case f.block && f.value.Kind() == reflect.Pointer:
			out = append(out, keysOf(f.value.Type().Elem(), key)...)
		case f.block:
			out = append(out, keysOf(f.value.Type(), key)...)
		default:
			out = append(out, key)
		}
	}
	return out
}
