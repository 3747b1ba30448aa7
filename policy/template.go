package policy

import (
	"fmt"
	"strings"
)

// template is a text with captures in it: "/ingest/{id}". "{{" and "}}" stand
// for braces.
type template []templatePart

type templatePart struct {
	text    string
	capture int // segment of the pattern; -1: text
}

// parseTemplate reads a template whose captures are those of a pattern.
func parseTemplate(s string, pattern pathPattern) (template, error) {
	var t template
	for s != "" {
		i := strings.IndexAny(s, "{}")
		if i < 0 {
			return t.addText(s), nil
		}
		t = t.addText(s[:i])
		if strings.HasPrefix(s[i:], "{{") || strings.HasPrefix(s[i:], "}}") {
			t = t.addText(s[i : i+1])
			s = s[i+2:]
			continue
		}
		name, after, closed := strings.Cut(s[i+1:], "}")
		if s[i] == '}' || !closed {
			return nil, fmt.Errorf("an unpaired brace in %q: a brace itself is written twice", s)
		}
		at := pattern.captureIndex(name)
		if at < 0 || name == "" {
			return nil, fmt.Errorf("{%s} is not a capture of the path", name)
		}
		t, s = append(t, templatePart{capture: at}), after
	}
	return t, nil
}

func (t template) addText(s string) template {
	if s == "" {
		return t
	}
	if n := len(t); n > 0 && t[n-1].capture < 0 {
		t[n-1].text += s
		return t
	}
	return append(t, templatePart{text: s, capture: -1})
}

// render fills the captures in.
func (t template) render(capture func(index int) string) string {
	if len(t) == 1 && t[0].capture < 0 {
		return t[0].text
	}
	var b strings.Builder
	for _, part := range t {
		if part.capture < 0 {
			b.WriteString(part.text)
		} else {
			b.WriteString(capture(part.capture))
		}
	}
	return b.String()
}

func (t template) hasCaptures() bool {
	for _, part := range t {
		if part.capture >= 0 {
			return true
		}
	}
	return false
}
