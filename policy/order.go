package policy

import (
	"cmp"
	"slices"
	"strings"
)

// orderRoutes sorts routes into the order in which they are considered and
// numbers them.
func orderRoutes(routes []*Route) {
	slices.SortStableFunc(routes, func(a, b *Route) int {
		order, _ := compareRoutes(a, b)
		return order
	})
	for i, r := range routes {
		r.rank = i
	}
}

// compareRoutes is negative when a is considered before b, and says why. Among
// routes that fit the same message it is the order the tree is walked in.
func compareRoutes(a, b *Route) (int, string) {
	if c := cmp.Compare(hostRank(b), hostRank(a)); c != 0 {
		return c, "a more specific host"
	}
	if c := comparePatterns(a.pattern, b.pattern); c != 0 {
		return c, "a more specific path"
	}
	if c := -compareBool(len(a.Match.Methods) > 0, len(b.Match.Methods) > 0); c != 0 {
		return c, "it names methods"
	}
	if c := cmp.Compare(len(b.Match.Headers), len(a.Match.Headers)); c != 0 {
		return c, "it asks for more headers"
	}
	if c := -compareBool(a.when != nil, b.when != nil); c != 0 {
		return c, "it has a when"
	}
	return cmp.Compare(a.sourceOrder, b.sourceOrder), "it stands first in the policy"
}

// hostRank is 2 for an exact host, 1 for a wildcard, 0 for none.
func hostRank(r *Route) int {
	switch {
	case r.Match.Host == "":
		return 0
	case strings.HasPrefix(r.Match.Host, "*."):
		return 1
	}
	return 2
}

// comparePatterns goes by the kind of each segment, left to right; a longer
// pattern comes first where one begins like the other.
func comparePatterns(a, b pathPattern) int {
	for i := range min(len(a), len(b)) {
		if c := cmp.Compare(a[i].kind, b[i].kind); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(b), len(a))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// shape is what host and path make of a route: routes of one shape fit the same
// messages until their other conditions are asked.
func (r *Route) shape() string {
	var b strings.Builder
	b.WriteString(r.Match.Host)
	for _, s := range r.pattern {
		switch s.kind {
		case literalSegment:
			b.WriteString("/=" + strings.ReplaceAll(s.text, "/", "%2F"))
		case captureSegment:
			b.WriteString("/{}")
		default:
			b.WriteString("/...")
		}
	}
	return b.String()
}

// covers tells whether every message that gets to b's conditions and meets them
// meets a's too.
func (a *Route) covers(b *Route) bool {
	return a.coversMethods(b) && a.coversHeaders(b) && a.coversWhen(b) && !a.rewrite.host.hasCaptures()
}

func (a *Route) coversMethods(b *Route) bool {
	if len(a.Match.Methods) == 0 {
		return true
	}
	for _, method := range b.Match.Methods {
		if !slices.Contains(a.Match.Methods, method) {
			return false
		}
	}
	return len(b.Match.Methods) > 0
}

func (a *Route) coversHeaders(b *Route) bool {
	for _, want := range a.Match.Headers {
		asked := slices.ContainsFunc(b.Match.Headers, func(h HeaderMatch) bool {
			return h.Name == want.Name && (want.Any || !h.Any && h.Value == want.Value)
		})
		if !asked {
			return false
		}
	}
	return true
}

// coversWhen compares conditions as text; captures must have the same names for
// the same text to mean the same.
func (a *Route) coversWhen(b *Route) bool {
	if a.when == nil {
		return true
	}
	return a.Match.When == b.Match.When && a.Match.PayloadLimit >= b.Match.PayloadLimit &&
		slices.Equal(a.pattern, b.pattern)
}
