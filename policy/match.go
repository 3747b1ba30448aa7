package policy

import (
	"fmt"
	"slices"
)

// search is one walk through the candidates of a message.
type search struct {
	m       *Message
	payload payloadCache
	failed  int
	notes   map[*Route]string // why candidates were passed over; nil: nobody asks

	// measure makes the walk add up payload limits instead of evaluating.
	measure bool
	limit   int
}

// accept returns the first of the candidates whose conditions hold.
func (s *search) accept(candidates []*Route) *Route {
	for _, r := range candidates {
		if s.holds(r) {
			return r
		}
	}
	return nil
}

func (s *search) holds(r *Route) bool {
	if miss, at := r.misfit(s.m); miss != fits {
		if s.notes != nil {
			s.notes[r] = r.explainMisfit(miss, at, s.m)
		}
		return false
	}
	if s.measure {
		s.limit = max(s.limit, r.Match.PayloadLimit)
		return r.when == nil
	}
	return r.when == nil || s.evaluate(r)
}

func (s *search) evaluate(r *Route) bool {
	ok, err := r.when.holds(s.m, r.pattern, &s.payload)
	if err != nil {
		s.failed++
	}
	if s.notes != nil && !ok {
		s.notes[r] = "when is false: " + r.Match.When
		if err != nil {
			s.notes[r] = "when could not be evaluated: " + err.Error()
		}
	}
	return ok
}

// misfit is which of a route's static conditions a message fails.
type misfit uint8

const (
	fits misfit = iota
	wrongMethod
	wrongHeader
	unfitHost
)

// misfit checks the conditions that cost little; at is the header's index.
func (r *Route) misfit(m *Message) (miss misfit, at int) {
	if len(r.Match.Methods) > 0 && !slices.Contains(r.Match.Methods, m.Method) {
		return wrongMethod, 0
	}
	for i := range r.Match.Headers {
		if !r.Match.Headers[i].holds(m.Header) {
			return wrongHeader, i
		}
	}
	if r.rewrite.host != nil && !r.hostFits(m.Path) {
		return unfitHost, 0
	}
	return fits, 0
}

func (h *HeaderMatch) holds(header map[string][]string) bool {
	have := header[h.Name]
	if h.Any {
		return len(have) > 0
	}
	return slices.Contains(have, h.Value)
}

func (r *Route) explainMisfit(miss misfit, at int, m *Message) string {
	switch miss {
	case wrongMethod:
		return fmt.Sprintf("method %s is not one of %v", m.Method, r.Match.Methods)
	case wrongHeader:
		return explainHeader(r.Match.Headers[at], m.Header)
	case unfitHost:
		return "a capture does not fit in the label of rewrite.host"
	}
	return ""
}

func explainHeader(want HeaderMatch, header map[string][]string) string {
	have := header[want.Name]
	switch {
	case len(have) == 0:
		return fmt.Sprintf("header %s is absent", want.Name)
	default:
		return fmt.Sprintf("header %s is %q, not %q", want.Name, have, want.Value)
	}
}
