package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// blockShape is what may stand in a block: keys with a value, and blocks with
// the names of their labels.
type blockShape struct {
	keys   []string
	blocks map[string][]string
}

func (s blockShape) schema() *hcl.BodySchema {
	schema := &hcl.BodySchema{}
	for _, key := range s.keys {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: key})
	}
	for name, labels := range s.blocks {
		schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: name, LabelNames: labels})
	}
	return schema
}

func (s blockShape) String() string {
	names := slices.Clone(s.keys)
	for name := range s.blocks {
		names = append(names, name+" {}")
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// block reads the keys of one HCL block, and reports what is wrong with them.
type block struct {
	found  *findings
	at     hcl.Range
	attrs  hcl.Attributes
	blocks hcl.Blocks
}

func openBlock(body hcl.Body, at hcl.Range, shape blockShape, found *findings) *block {
	content, diags := body.Content(shape.schema())
	if diags.HasErrors() {
		found.addHCL(diags, "here may stand: "+shape.String())
	}
	return &block{found: found, at: at, attrs: content.Attributes, blocks: content.Blocks}
}

func (b *block) has(key string) bool { return b.attrs[key] != nil }

// place is where a key's value stands, or the block where the key is missing.
func (b *block) place(key string) hcl.Range {
	if a := b.attrs[key]; a != nil {
		return a.Expr.Range()
	}
	return b.at
}

func (b *block) fail(key, fix, problem string, args ...any) {
	b.found.add(b.place(key), fix, "%s: %s", key, fmt.Sprintf(problem, args...))
}

// one returns the only block of a type, nil where there is none.
func (b *block) one(name string) *hcl.Block {
	var first *hcl.Block
	for _, inner := range b.blocks {
		switch {
		case inner.Type != name:
		case first == nil:
			first = inner
		default:
			b.found.add(inner.DefRange, "merge them into one", "more than one %s block", name)
		}
	}
	return first
}

// text returns a string, "" where the key is absent or its value reported.
func (b *block) text(key string) string {
	if !b.has(key) {
		return ""
	}
	s, ok := b.stringOf(key, b.attrs[key].Expr)
	if ok && s == "" {
		b.fail(key, "leave it out, or give it a value", "empty")
	}
	return s
}

func (b *block) stringOf(key string, expr hcl.Expression) (string, bool) {
	if len(expr.Variables()) > 0 {
		b.found.add(expr.Range(), "only the path of an allow block may name the device", "%s: a reference", key)
		return "", false
	}
	v, diags := expr.Value(nil)
	if diags.HasErrors() {
		b.found.addHCL(diags, "")
		return "", false
	}
	if !v.IsNull() && v.Type().IsPrimitiveType() {
		if s, err := convert.Convert(v, cty.String); err == nil {
			return s.AsString(), true
		}
	}
	b.found.add(expr.Range(), "write it in quotes", "%s: want a string, have %s", key, kindOf(v))
	return "", false
}

func kindOf(v cty.Value) string {
	switch {
	case v.IsNull():
		return "null"
	case v.Type().IsTupleType():
		return "list"
	case v.Type().IsObjectType():
		return "map"
	}
	return v.Type().FriendlyName()
}

// number returns an integer within bounds, or the default.
func (b *block) number(key string, least, most, otherwise int) int {
	if !b.has(key) {
		return otherwise
	}
	v, diags := b.attrs[key].Expr.Value(nil)
	if diags.HasErrors() {
		b.found.addHCL(diags, "")
		return otherwise
	}
	n, err := wholeNumber(v)
	if err != nil || n < int64(least) || n > int64(most) {
		b.fail(key, fmt.Sprintf("write a whole number from %d to %d, without quotes", least, most),
			"bad number: %s", showNumber(v))
		return otherwise
	}
	return int(n)
}

func showNumber(v cty.Value) string {
	if v.IsNull() || v.Type() != cty.Number {
		return kindOf(v)
	}
	return v.AsBigFloat().Text('g', 12)
}

func wholeNumber(v cty.Value) (int64, error) {
	if v.IsNull() || v.Type() != cty.Number {
		return 0, ErrInvalid
	}
	f := v.AsBigFloat()
	n, accuracy := f.Int64()
	if accuracy != 0 {
		return 0, ErrInvalid
	}
	return n, nil
}

// flag returns a boolean, and whether it was given.
func (b *block) flag(key string) (value, given bool) {
	if !b.has(key) {
		return false, false
	}
	v, diags := b.attrs[key].Expr.Value(nil)
	if diags.HasErrors() {
		b.found.addHCL(diags, "")
		return false, false
	}
	if v.IsNull() || v.Type() != cty.Bool {
		b.fail(key, "write true or false", "want a boolean, have %s", kindOf(v))
		return false, false
	}
	return v.True(), true
}

func (b *block) duration(key string) (time.Duration, bool) {
	if !b.has(key) {
		return 0, false
	}
	s, ok := b.stringOf(key, b.attrs[key].Expr)
	if !ok {
		return 0, false
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Millisecond || d > MaxTimeout {
		b.fail(key, `write a duration from "1ms" to "1h", such as "1.5s"`, "bad duration %q", s)
		return 0, false
	}
	return d, true
}

func (b *block) size(key string, most int) int {
	if !b.has(key) {
		return 0
	}
	s, ok := b.stringOf(key, b.attrs[key].Expr)
	if !ok {
		return 0
	}
	n, err := parseSize(s)
	if err != nil || n < 1 || n > most {
		b.fail(key, fmt.Sprintf(`write a size from "1B" to "%dKiB", such as "16KiB"`, most>>10), "bad size %q", s)
		return 0
	}
	return n
}

func parseSize(s string) (int, error) {
	unit := 1
	if digits, ok := strings.CutSuffix(s, "KiB"); ok {
		s, unit = digits, 1<<10
	} else {
		s = strings.TrimSuffix(s, "B")
	}
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 20)
	return int(n) * unit, err
}

// item is one element of a list or map, and where its value stands.
type item struct {
	key, value string
	at         hcl.Range
}

// list returns the strings of a list; an item that is there twice is reported.
func (b *block) list(key string) []item {
	if !b.has(key) {
		return nil
	}
	exprs, diags := hcl.ExprList(b.attrs[key].Expr)
	if diags.HasErrors() {
		b.fail(key, `write ["a", "b"]`, "want a list of strings")
		return nil
	}
	var items []item
	seen := map[string]bool{}
	for _, expr := range exprs {
		s, ok := b.stringOf(key, expr)
		if !ok {
			continue
		}
		if s == "" || seen[s] {
			b.found.add(expr.Range(), "remove it", "%s: %q is empty or there twice", key, s)
			continue
		}
		seen[s] = true
		items = append(items, item{value: s, at: expr.Range()})
	}
	return items
}

// pairs returns the entries of a map of strings in the order written.
func (b *block) pairs(key string) []item {
	if !b.has(key) {
		return nil
	}
	entries, diags := hcl.ExprMap(b.attrs[key].Expr)
	if diags.HasErrors() {
		b.fail(key, `write { "a" = "b" }`, "want a map of strings")
		return nil
	}
	var items []item
	for _, e := range entries {
		name, ok := b.stringOf(key, e.Key)
		value, fine := b.stringOf(key, e.Value)
		if ok && fine {
			items = append(items, item{name, value, e.Key.Range()})
		}
	}
	return items
}

func values(items []item) []string {
	var all []string
	for _, i := range items {
		all = append(all, i.value)
	}
	return all
}

var namePattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)

// checkName reports a name that could not be told apart in metrics, headers
// and targets.
func (f *findings) checkName(what, name string, at hcl.Range) bool {
	if len(name) <= maxName && namePattern.MatchString(name) {
		return true
	}
	f.add(at, fmt.Sprintf("use 1 to %d letters, digits, '-', '_' or '.', beginning and ending with a letter or digit", maxName),
		"bad name of a %s: %q", what, name)
	return false
}
