package transport

import (
	"errors"
	"fmt"
	"strings"
)

// ErrPattern is the kind of errors about a pattern that names nobody.
var ErrPattern = errors.New("pattern of an identity")

const (
	maxPatternLength = maxSPIFFELength
	variableID       = "id"
	// notInValues keeps a value within its segment of a URI, and spelled in one way.
	notInValues = "/?#%"
)

// pattern is a text with variables in braces. A variable ends where the text
// behind it first occurs, the last one at the end, so that there is one way at
// most to read a text.
type pattern struct {
	variables []variable
	rest      string // behind the last one
}

type variable struct{ before, name string }

// parsePattern reads a pattern. Errors are of kind ErrPattern.
func parsePattern(source string) (*pattern, error) {
	p, err := splitPattern(source)
	if err == nil {
		err = p.check()
	}
	if err != nil || len(source) > maxPatternLength {
		return nil, fmt.Errorf("%w %.200q: %w", ErrPattern, source, orTooLong(err))
	}
	return p, nil
}

func orTooLong(err error) error {
	if err == nil {
		return fmt.Errorf("is longer than %d bytes", maxPatternLength)
	}
	return err
}

func splitPattern(source string) (*pattern, error) {
	p := &pattern{}
	for rest := source; ; {
		before, behind, found := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			return nil, errors.New("has a } without a {")
		}
		if !found {
			p.rest = before
			return p, nil
		}
		name, next, closed := strings.Cut(behind, "}")
		if !closed {
			return nil, errors.New("has a { without a }")
		}
		p.variables = append(p.variables, variable{before, name})
		rest = next
	}
}

func (p *pattern) check() error {
	seen := map[string]bool{}
	for i, v := range p.variables {
		switch {
		case !validPropertyName(v.name):
			return fmt.Errorf("variable {%.80s}: use lower-case letters, digits and underscores, a letter first, at most %d", v.name, maxPropertyName)
		case seen[v.name]:
			return fmt.Errorf("has {%s} twice", v.name)
		case i > 0 && v.before == "":
			return fmt.Errorf("has nothing between {%s} and {%s}: where one ends could not be told", p.variables[i-1].name, v.name)
		}
		seen[v.name] = true
	}
	switch {
	case !seen[variableID]:
		return errors.New("has no {id}, which is the device's")
	case len(seen) > maxProperties:
		return fmt.Errorf("has %d variables, at most %d are allowed", len(seen), maxProperties)
	}
	return nil
}

// match reads a text; false: it does not fit, or a value is not one that an id or
// a property may have.
func (p *pattern) match(text string) (id string, properties map[string]string, ok bool) {
	properties = make(map[string]string, len(p.variables)-1)
	for i, v := range p.variables {
		if text, ok = strings.CutPrefix(text, v.before); !ok {
			return "", nil, false
		}
		end := len(text)
		if behind := p.behind(i); behind != "" {
			end = strings.Index(text, behind)
		}
		if end < 0 || !validVariable(v.name, text[:end]) {
			return "", nil, false
		}
		if v.name == variableID {
			id = text[:end]
		} else {
			properties[v.name] = text[:end]
		}
		text = text[end:]
	}
	return id, properties, text == p.rest
}

func (p *pattern) behind(i int) string {
	if i+1 < len(p.variables) {
		return p.variables[i+1].before
	}
	return p.rest
}

func validVariable(name, value string) bool {
	if name == variableID {
		return validDeviceID(value)
	}
	return validPropertyValue(value) && !strings.ContainsAny(value, notInValues)
}
