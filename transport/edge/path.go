package edge

import (
	"errors"
	"strings"
)

var (
	errNoPath     = errors.New("the path is empty")
	errNotRooted  = errors.New("the path does not begin with a slash")
	errNUL        = errors.New("the path contains NUL")
	errDotSegment = errors.New("the path contains a dot segment")
)

// checkPath looks at a decoded path, so that encoded dots, slashes and NULs
// count as what a service would take them for. A backslash separates segments,
// as some servers have it, and what follows a semicolon in a segment does not
// count (RFC 3986 section 3.3 leaves it to the application: "..;x" is "..").
func checkPath(path string) error {
	switch {
	case path == "":
		return errNoPath
	case path[0] != '/':
		return errNotRooted
	case strings.IndexByte(path, 0) >= 0:
		return errNUL
	case strings.IndexByte(path, '.') < 0:
		return nil
	}
	for rest := path[1:]; ; {
		i := strings.IndexAny(rest, `/\`)
		if i < 0 {
			i = len(rest)
		}
		if isDotSegment(rest[:i]) {
			return errDotSegment
		}
		if i == len(rest) {
			return nil
		}
		rest = rest[i+1:]
	}
}

func isDotSegment(segment string) bool {
	name, _, _ := strings.Cut(segment, ";")
	return name == "." || name == ".."
}
