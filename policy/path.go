package policy

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// segmentKind orders the parts of a pattern, most specific first.
type segmentKind uint8

const (
	literalSegment segmentKind = iota
	captureSegment
	restSegment
)

func (k segmentKind) String() string {
	return [...]string{"a literal", "a capture", "the rest"}[k]
}

type segment struct {
	kind segmentKind
	text string // decoded literal, or the capture's name; "" for a nameless rest
}

// pathPattern is a compiled path pattern. A route without a path has a single
// nameless rest.
type pathPattern []segment

var captureName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// parsePattern reads a path pattern: "/a/{x}/{y...}".
func parsePattern(s string) (pathPattern, error) {
	if s == "" {
		return pathPattern{{kind: restSegment}}, nil
	}
	if s[0] != '/' {
		return nil, fmt.Errorf("%q does not begin with \"/\"", s)
	}
	parts := strings.Split(s[1:], "/")
	if len(parts) > maxSegments {
		return nil, fmt.Errorf("more than %d segments", maxSegments)
	}
	pattern := make(pathPattern, len(parts))
	for i, part := range parts {
		seg, err := parseSegment(part, i == len(parts)-1)
		if err != nil {
			return nil, err
		}
		if seg.kind != literalSegment && pattern[:i].captureIndex(seg.text) >= 0 {
			return nil, fmt.Errorf("the capture {%s} is there twice", seg.text)
		}
		pattern[i] = seg
	}
	return pattern, nil
}

func parseSegment(part string, last bool) (segment, error) {
	if !strings.ContainsAny(part, "{}") {
		return literalOf(part, last)
	}
	name := strings.TrimSuffix(strings.TrimPrefix(part, "{"), "}")
	if len(name) != len(part)-2 {
		return segment{}, fmt.Errorf("a capture is a whole segment, %q is not", part)
	}
	kind := captureSegment
	if rest, ok := strings.CutSuffix(name, "..."); ok {
		name, kind = rest, restSegment
	}
	if !captureName.MatchString(name) {
		return segment{}, fmt.Errorf("bad name of a capture in %q: use letters, digits and '_'", part)
	}
	if kind == restSegment && !last {
		return segment{}, fmt.Errorf("%q takes the rest of the path, so it must come last", part)
	}
	return segment{kind, name}, nil
}

func literalOf(part string, last bool) (segment, error) {
	if part == "" && !last {
		return segment{}, fmt.Errorf("an empty segment never matches")
	}
	if strings.ContainsAny(part, "?#") {
		return segment{}, fmt.Errorf("%q: a path has no query and no fragment", part)
	}
	if fault := segmentFault(part); fault != "" {
		return segment{}, fmt.Errorf("%q never matches: %s", part, fault)
	}
	return segment{literalSegment, decodeSegment(part)}, nil
}

// captureIndex returns which segment a capture is, -1 where there is none.
func (p pathPattern) captureIndex(name string) int {
	for i, s := range p {
		if s.kind != literalSegment && s.text == name {
			return i
		}
	}
	return -1
}

func (p pathPattern) captures() []string {
	var names []string
	for _, s := range p {
		if s.kind != literalSegment && s.text != "" {
			names = append(names, s.text)
		}
	}
	return names
}

// raw returns what a capture took, escaped as sent. The path is known to match.
func (p pathPattern) raw(path string, index int) string {
	rest := path[1:]
	for range index {
		_, rest, _ = strings.Cut(rest, "/")
	}
	if p[index].kind == restSegment {
		return rest
	}
	seg, _, _ := strings.Cut(rest, "/")
	return seg
}

// value returns what a capture took, decoded segment by segment.
func (p pathPattern) value(path string, index int) string {
	return mapSegments(p.raw(path, index), decodeSegment)
}

// escaped returns what a capture took in a canonical escaped form: each segment
// decoded and escaped again, so that no byte of it means anything to a path.
func (p pathPattern) escaped(path string, index int) string {
	return mapSegments(p.raw(path, index), func(s string) string {
		return url.PathEscape(decodeSegment(s))
	})
}

func mapSegments(s string, change func(string) string) string {
	if !strings.Contains(s, "/") {
		return change(s)
	}
	parts := strings.Split(s, "/")
	for i := range parts {
		parts[i] = change(parts[i])
	}
	return strings.Join(parts, "/")
}

// decodeSegment resolves percent escapes; the escapes are known to be valid.
func decodeSegment(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	decoded, err := url.PathUnescape(s)
	if err != nil {
		return s
	}
	return decoded
}

// pathFault says why a path can match no route, "" when it can. What another
// server might read as another path, or as more than a path, is turned away
// here: dot segments in any spelling, empty segments but the last, control
// characters, and broken escapes.
func pathFault(path string) string {
	if path == "" || path[0] != '/' {
		return "the path does not begin with \"/\""
	}
	for rest, more := path[1:], true; more; {
		var seg string
		seg, rest, more = strings.Cut(rest, "/")
		if seg == "" && more {
			return "the path has an empty segment"
		}
		if fault := segmentFault(seg); fault != "" {
			return fault
		}
	}
	return ""
}

// segmentFault says why one segment can match nothing.
func segmentFault(seg string) string {
	dots, onlyDots := 0, true
	for i := 0; i < len(seg); {
		c, size := byteAt(seg, i)
		i += size
		switch {
		case size == 0:
			return "the path has a broken escape"
		case size == 1 && (c == '?' || c == '#'):
			return "the path holds a query or fragment"
		case c < 0x20 || c == 0x7f:
			return "the path has a control character"
		case !onlyDots:
		case c == '.':
			dots++
		case c == ';' && isDotSegment(dots):
			return "the path has a dot segment"
		default:
			onlyDots = false
		}
	}
	if onlyDots && isDotSegment(dots) {
		return "the path has a dot segment"
	}
	return ""
}

// isDotSegment tells whether so many dots, and nothing else, name a directory.
// Path parameters behind them ("..;x") are cut off by some servers.
func isDotSegment(dots int) bool { return dots == 1 || dots == 2 }

// byteAt returns the decoded byte at i and how many bytes it was written in: 1,
// 3 for an escape, 0 for a broken one.
func byteAt(s string, i int) (c byte, size int) {
	if s[i] != '%' {
		return s[i], 1
	}
	if i+2 >= len(s) {
		return 0, 0
	}
	high, low := unhex(s[i+1]), unhex(s[i+2])
	if high > 15 || low > 15 {
		return 0, 0
	}
	return high<<4 | low, 3
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}
