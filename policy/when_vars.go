package policy

import (
	"net/textproto"
	"reflect"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// conditionVars gives a `when` its variables as they are asked for. The message
// is a copy so that the caller's stays off the heap.
type conditionVars struct {
	m       Message
	pattern pathPattern
	payload any
}

// Parent is part of cel.Activation.
func (v *conditionVars) Parent() cel.Activation { return nil }

// ResolveName is part of cel.Activation.
func (v *conditionVars) ResolveName(name string) (any, bool) {
	switch name {
	case "request.method":
		return v.m.Method, true
	case "request.host":
		return v.m.Host, true
	case "request.path":
		return v.m.Path, true
	case "request.query":
		return v.m.Query, true
	case "request.headers":
		return textMap{headerTexts(v.m.Header)}, true
	case "device":
		return textMap{deviceTexts(v.m.Device)}, true
	case "captures":
		return textMap{captureTexts{v.pattern, v.m.Path}}, true
	case "payload":
		return v.payload, true
	}
	return nil, false
}

// texts is a map from string to string that need not be built to be looked into.
type texts interface {
	lookup(key string) (string, bool)
	size() int
	all() map[string]string
}

// headerTexts has names in lower case and joins values by ", " (RFC 9110
// section 5.3).
type headerTexts map[string][]string

func (h headerTexts) size() int { return len(h) }

func (h headerTexts) lookup(key string) (string, bool) {
	if key != strings.ToLower(key) {
		return "", false
	}
	have, ok := h[textproto.CanonicalMIMEHeaderKey(key)]
	return strings.Join(have, ", "), ok
}

func (h headerTexts) all() map[string]string {
	all := make(map[string]string, len(h))
	for name, have := range h {
		all[strings.ToLower(name)] = strings.Join(have, ", ")
	}
	return all
}

// deviceTexts is the device's properties and its id.
type deviceTexts Device

func (d deviceTexts) size() int { return len(d.all()) }

func (d deviceTexts) lookup(key string) (string, bool) {
	if key == "id" {
		return d.ID, true
	}
	value, ok := d.Properties[key]
	return value, ok
}

func (d deviceTexts) all() map[string]string {
	all := make(map[string]string, len(d.Properties)+1)
	for key, value := range d.Properties {
		all[key] = value
	}
	all["id"] = d.ID
	return all
}

// captureTexts is the decoded captures of a path that matched.
type captureTexts struct {
	pattern pathPattern
	path    string
}

func (c captureTexts) size() int              { return len(c.pattern.captures()) }
func (c captureTexts) all() map[string]string { return c.pattern.all(c.path) }

func (c captureTexts) lookup(key string) (string, bool) {
	at := c.pattern.captureIndex(key)
	if at < 0 || key == "" {
		return "", false
	}
	return c.pattern.value(c.path, at), true
}

// textMap makes texts a CEL map.
type textMap struct{ texts }

var _ traits.Mapper = textMap{}

func (t textMap) whole() traits.Mapper {
	return types.NewStringStringMap(types.DefaultTypeAdapter, t.all())
}

// Find is part of traits.Mapper.
func (t textMap) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(key), false
	}
	value, ok := t.lookup(string(name))
	if !ok {
		return nil, false
	}
	return types.String(value), true
}

// Get is part of traits.Mapper.
func (t textMap) Get(key ref.Val) ref.Val {
	value, ok := t.Find(key)
	if !ok && value == nil {
		return types.NewErr("no such key: %v", key.Value())
	}
	return value
}

// Contains is part of traits.Mapper.
func (t textMap) Contains(key ref.Val) ref.Val {
	value, ok := t.Find(key)
	if !ok && value != nil {
		return value
	}
	return types.Bool(ok)
}

// Size is part of traits.Mapper.
func (t textMap) Size() ref.Val { return types.Int(t.size()) }

// Iterator is part of traits.Mapper.
func (t textMap) Iterator() traits.Iterator { return t.whole().Iterator() }

// Equal is part of traits.Mapper.
func (t textMap) Equal(other ref.Val) ref.Val { return t.whole().Equal(other) }

// ConvertToNative is part of traits.Mapper.
func (t textMap) ConvertToNative(to reflect.Type) (any, error) { return t.whole().ConvertToNative(to) }

// ConvertToType is part of traits.Mapper.
func (t textMap) ConvertToType(to ref.Type) ref.Val { return t.whole().ConvertToType(to) }

// Type is part of traits.Mapper.
func (t textMap) Type() ref.Type { return types.MapType }

// Value is part of traits.Mapper.
func (t textMap) Value() any { return t.all() }
