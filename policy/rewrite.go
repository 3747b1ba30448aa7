package policy

import (
	"fmt"
	"strings"
)

// rewrite is what a route changes on the way to the service and back.
type rewrite struct {
	path     template // nil: as sent
	host     template // nil: as sent
	request  headerEdits
	response headerEdits
}

// headerEdits are made in this order: removed, then set.
type headerEdits struct {
	remove []string
	set    []headerSet
}

type headerSet struct {
	name  string
	value template
}

func (e *headerEdits) apply(h map[string][]string, d *Decision) {
	for _, name := range e.remove {
		delete(h, name)
	}
	for _, s := range e.set {
		h[s.name] = []string{s.value.render(d.value)}
	}
}

// parsePathRewrite checks that whatever the captures hold, the result is one
// plain path with the segments the template shows.
func parsePathRewrite(s string, pattern pathPattern) (template, error) {
	t, err := parseTemplate(s, pattern)
	if err != nil {
		return nil, err
	}
	if err := restStandsLast(t, pattern); err != nil {
		return nil, err
	}
	for i := range t {
		t[i].text = escapeLiteral(t[i].text)
	}
	for _, sample := range []string{"x", "%3Bx"} {
		if fault := pathFault(t.render(func(int) string { return sample })); fault != "" {
			return nil, fmt.Errorf("%q is not a plain path: %s", s, fault)
		}
	}
	return t, nil
}

// restStandsLast asks that the rest of a path, which may be empty or of many
// segments, fills the end of the new path.
func restStandsLast(t template, pattern pathPattern) error {
	for i, part := range t {
		if part.capture < 0 || pattern[part.capture].kind != restSegment {
			continue
		}
		if i != len(t)-1 || i == 0 || !strings.HasSuffix(t[i-1].text, "/") {
			return fmt.Errorf("{%s} is the rest of a path, so it must be all of the last segment", pattern[part.capture].text)
		}
	}
	return nil
}

// escapeLiteral escapes what may not stand in a path, and leaves escapes alone.
func escapeLiteral(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c <= 0x20 || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// parseHostRewrite checks that the result is a host when every capture is a
// label.
func parseHostRewrite(s string, pattern pathPattern) (template, error) {
	t, err := parseTemplate(s, pattern)
	if err != nil {
		return nil, err
	}
	for _, part := range t {
		if part.capture >= 0 && pattern[part.capture].kind == restSegment {
			return nil, fmt.Errorf("{%s} is the rest of a path and does not fit in a host", pattern[part.capture].text)
		}
	}
	if !validAuthority(t.render(func(int) string { return "x" })) {
		return nil, fmt.Errorf("bad host %q", s)
	}
	return t, nil
}

// hostFits tells whether the captures of a path can stand in the new host: a
// capture is at most part of one label, so it cannot name another domain.
func (r *Route) hostFits(path string) bool {
	for _, part := range r.rewrite.host {
		if part.capture >= 0 && !validLabel(r.pattern.value(path, part.capture)) {
			return false
		}
	}
	return !r.rewrite.host.hasCaptures() || validAuthority(r.newHost(path))
}

func (r *Route) newHost(path string) string {
	return strings.ToLower(r.rewrite.host.render(func(i int) string { return r.pattern.value(path, i) }))
}
