package policy

import (
	"fmt"
	"strings"
)

// explain writes what a search found into a trace: the routes in the order they
// are considered, each with why it was passed over or taken. Routes after the
// one taken are listed where they would have fitted.
func (p *Policy) explain(s *search, taken *Route, t *Trace) {
	unlisted := 0
	for _, r := range p.routes {
		note, candidate := s.notes[r]
		switch {
		case r == taken:
			t.Take("route", r.Name, "%s", r.explainTaken())
		case candidate:
			t.Pass("route", r.Name, "%s", note)
		default:
			unlisted += p.explainOther(r, taken, s.m, t)
		}
	}
	if unlisted > 0 {
		t.Pass("route", fmt.Sprintf("%d more routes", unlisted), "their host or path differs")
	}
	if taken == nil {
		t.Pass("route", "(none)", "no route matches")
	}
}

// explainOther lists a route that was no candidate, or was not reached. It
// returns 1 when the trace is long enough without it.
func (p *Policy) explainOther(r, taken *Route, m *Message, t *Trace) int {
	if reason := r.shapeMisfit(m); reason != "" {
		if len(t.Steps) >= maxExplained {
			return 1
		}
		t.Pass("route", r.Name, "%s", reason)
		return 0
	}
	_, why := compareRoutes(taken, r)
	t.Pass("route", r.Name, "host and path fit, but %s comes first: %s", taken.Name, why)
	return 0
}

func (r *Route) explainTaken() string {
	var b strings.Builder
	fmt.Fprintf(&b, "matches host %s, path %s", orAny(r.Match.Host), orAny(r.Match.Path))
	if len(r.Match.Methods) > 0 {
		fmt.Fprintf(&b, ", methods %v", r.Match.Methods)
	}
	if n := len(r.Match.Headers); n > 0 {
		fmt.Fprintf(&b, ", %d headers", n)
	}
	if r.when != nil {
		fmt.Fprintf(&b, ", when %s", r.Match.When)
	}
	fmt.Fprintf(&b, "; class %s (%s)", r.Class, r.Place)
	return b.String()
}

func orAny(s string) string {
	if s == "" {
		return "(any)"
	}
	return s
}

func (r *Route) explainSplit(branch, bucket int, device string, t *Trace) {
	by := "at random"
	if r.Sticky && device != "" {
		by = "by the device's id"
	}
	for i, f := range r.Forward {
		switch {
		case len(r.Forward) == 1:
			t.Take("split", f.Target.String(), "the only target")
		case i == branch:
			t.Take("split", f.Target.String(), "weight %d, drew %d of 100 %s", f.Weight, bucket, by)
		default:
			t.Pass("split", f.Target.String(), "weight %d, drew %d of 100 %s", f.Weight, bucket, by)
		}
	}
}

// shapeMisfit says why host or path keep a route from being a candidate, ""
// when they do not.
func (r *Route) shapeMisfit(m *Message) string {
	if !r.fitsHost(bareHost(m.Host)) {
		return fmt.Sprintf("host %q is not %s", m.Host, r.Match.Host)
	}
	return r.pattern.misfit(m.Path)
}

func (r *Route) fitsHost(host string) bool {
	if suffix, ok := strings.CutPrefix(r.Match.Host, "*."); ok {
		label, rest, _ := strings.Cut(host, ".")
		return label != "" && rest == suffix
	}
	return r.Match.Host == "" || r.Match.Host == host
}

func (p pathPattern) misfit(path string) string {
	segments := strings.Split(path[1:], "/")
	for i, want := range p {
		switch {
		case want.kind == restSegment && i < len(segments):
			return ""
		case i >= len(segments):
			return fmt.Sprintf("the path ends after %d segments", len(segments))
		case want.kind == captureSegment && segments[i] == "":
			return fmt.Sprintf("segment %d is empty, {%s} is not", i+1, want.text)
		case want.kind == literalSegment && decodeSegment(segments[i]) != want.text:
			return fmt.Sprintf("segment %d is %q, not %q", i+1, segments[i], want.text)
		}
	}
	if len(segments) > len(p) {
		return fmt.Sprintf("the path has %d segments, not %d", len(segments), len(p))
	}
	return ""
}
