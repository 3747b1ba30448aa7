package policy

import (
	"errors"
	"fmt"
	"strings"
)

// accessPath is a path pattern whose segments may name the device that asks:
// "/v1/devices/${device.id}/{rest...}".
type accessPath []accessSegment

// accessSegment is a segment of a pattern. One that names a property of the
// device is a literal with the property's value between text and after.
type accessSegment struct {
	segment
	property string // "id" is the device's id; "": none
	after    string
}

// A reference to the device stands in a pattern as its name between these, which
// no path can hold.
const (
	referenceBegin = "\x00"
	referenceEnd   = "\x01"
)

func parseAccessPath(s string) (accessPath, error) {
	if s[0] != '/' {
		return nil, fmt.Errorf("%q does not begin with \"/\"", readable(s))
	}
	parts := strings.Split(s[1:], "/")
	if len(parts) > maxSegments {
		return nil, fmt.Errorf("more than %d segments", maxSegments)
	}
	pattern := make(accessPath, len(parts))
	for i, part := range parts {
		var err error
		if pattern[i], err = parseAccessSegment(part, i == len(parts)-1); err != nil {
			return nil, err
		}
	}
	return pattern, nil
}

// parseAccessFilter reads a topic filter as a pattern of the paths that topics,
// and filters, are.
func parseAccessFilter(filter string) (accessPath, error) {
	if !ValidFilter(strings.ReplaceAll(filter, referenceBegin, "$")) {
		return nil, fmt.Errorf("%q is no topic filter", readable(filter))
	}
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		switch level {
		case "+":
			levels[i] = "{_}"
		case "#":
			levels[i] = "{_...}"
		default:
			levels[i] = literalLevel.Replace(level)
		}
	}
	return parseAccessPath("/" + strings.Join(levels, "/"))
}

// literalLevel escapes what would mean something in a pattern.
var literalLevel = strings.NewReplacer("%", "%25", "{", "%7B", "}", "%7D", "?", "%3F")

func parseAccessSegment(part string, last bool) (accessSegment, error) {
	before, rest, refers := strings.Cut(part, referenceBegin)
	if !refers {
		s, err := parseSegment(part, last)
		return accessSegment{segment: s}, err
	}
	name, after, _ := strings.Cut(rest, referenceEnd)
	if strings.Contains(after, referenceBegin) {
		// "${device.a}-${device.b}" is the same for "x-y", "z" and "x", "y-z".
		return accessSegment{}, errors.New("two references in one segment: which part is whose could not be told")
	}
	for _, literal := range []string{before, after} {
		if strings.ContainsAny(literal, "{}?#") {
			return accessSegment{}, fmt.Errorf("%q: beside a reference only plain text may stand", readable(part))
		}
		if fault := segmentFault(literal); fault != "" {
			return accessSegment{}, fmt.Errorf("%q: %s", readable(part), fault)
		}
	}
	return accessSegment{segment{literalSegment, decodeSegment(before)}, name, decodeSegment(after)}, nil
}

// readable undoes what stands for references.
func readable(s string) string {
	return strings.NewReplacer(referenceBegin, "${device.", referenceEnd, "}").Replace(s)
}

// matches says whether a path, known to have no fault, is one of the device's.
func (p accessPath) matches(path string, d *Device) bool {
	rest, more := path[1:], true
	for i := range p {
		if !more || p[i].kind == restSegment {
			return more
		}
		var seg string
		seg, rest, more = strings.Cut(rest, "/")
		if !p[i].fits(decodeSegment(seg), d) {
			return false
		}
	}
	return !more
}

func (s *accessSegment) fits(seg string, d *Device) bool {
	if s.kind == captureSegment {
		return seg != "" && seg != "#" // a filter's "#" is more than one level
	}
	if s.property == "" {
		return seg == s.text
	}
	value := d.property(s.property)
	// What the device does not have must not match the empty string, nor may a value
	// be a wildcard.
	return value != "" && value != "+" && value != "#" && len(seg) == len(s.text)+len(value)+len(s.after) &&
		strings.HasPrefix(seg, s.text) && strings.HasSuffix(seg, s.after) && seg[len(s.text):len(seg)-len(s.after)] == value
}
