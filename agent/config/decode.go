package config

import (
	"fmt"
	"path/filepath"
	"reflect"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
)

// loader fills a Config and remembers where each key was set, so that later
// checks can point there.
type loader struct {
	env      Env
	config   *Config
	files    []string
	origins  map[string]origin
	contexts map[string]*hcl.EvalContext // by directory
	faults   []Diagnostic
}

// origin is where a key or block was set: in a file, or outside of files.
type origin struct {
	place *hcl.Range
	label string // "environment TIDEGATE_NAME", "--set name"; empty: a file
}

func (l *loader) hcl(diags hcl.Diagnostics) { l.faults = append(l.faults, fromHCL(diags)...) }

// fault reports what is wrong with a key, at the place that set it or, when
// nothing did, at the nearest block around it.
func (l *loader) fault(key, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	from, found := l.origins[key]
	for parent := key; !found && parent != ""; {
		parent = parentOf(parent)
		from, found = l.origins[parent]
	}
	label := key
	if from.label != "" {
		label = from.label
	}
	l.faults = append(l.faults, at(from.place, label+": "+message))
}

func (l *loader) body(body hcl.Body, into reflect.Value, prefix string) {
	fields := fieldsOf(into)
	content, diags := body.Content(schemaOf(fields))
	l.hcl(diags)
	if content == nil {
		return
	}
	blocks := content.Blocks.ByType()
	for _, f := range fields {
		key := join(prefix, f.name)
		if f.block {
			l.block(blocks[f.name], f, key)
		} else if attr := content.Attributes[f.name]; attr != nil {
			l.attribute(attr, f, key)
		}
	}
}

func schemaOf(fields []field) *hcl.BodySchema {
	schema := &hcl.BodySchema{}
	for _, f := range fields {
		if f.block {
			schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: f.name})
		} else {
			schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: f.name})
		}
	}
	return schema
}

func (l *loader) block(blocks []*hcl.Block, f field, key string) {
	if len(blocks) == 0 {
		return
	}
	if len(blocks) > 1 {
		first, second := blocks[0].DefRange, blocks[1].DefRange
		l.faults = append(l.faults, at(&second, fmt.Sprintf(
			"%s: there is one already at %s:%d: a block stands once in all files", key, first.Filename, first.Start.Line)))
		return
	}
	l.origins[key] = origin{place: &blocks[0].DefRange}
	into := f.open()
	if f.foreign {
		l.hcl(gohcl.DecodeBody(blocks[0].Body, l.context(blocks[0].DefRange), into.Addr().Interface()))
		return
	}
	l.body(blocks[0].Body, into, key)
}

func (l *loader) attribute(attr *hcl.Attribute, f field, key string) {
	value, diags := attr.Expr.Value(l.context(attr.Range))
	if diags.HasErrors() {
		l.hcl(diags)
		return
	}
	l.origins[key] = origin{place: &attr.Range}
	texts, err := textsOf(value, f.value.Type())
	if err == nil {
		err = assign(f, texts, filepath.Dir(attr.Range.Filename))
	}
	if err != nil {
		l.fault(key, "%v", err)
	}
}

func (l *loader) context(r hcl.Range) *hcl.EvalContext {
	dir := filepath.Dir(r.Filename)
	if l.contexts[dir] == nil {
		l.contexts[dir] = functions(dir, l.env)
	}
	return l.contexts[dir]
}
