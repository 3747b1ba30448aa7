package policy

import (
	"fmt"
	"net/netip"
	"strings"
)

// parseHostPattern checks a host as a route matches it: a name, an IP address,
// or a name whose first label is "*".
func parseHostPattern(s string) (string, error) {
	s = strings.TrimSuffix(strings.ToLower(s), ".")
	if _, err := netip.ParseAddr(bareHost(s)); err == nil {
		return bareHost(s), nil
	}
	name := strings.TrimPrefix(s, "*.")
	if !validHostName(name) {
		return "", fmt.Errorf("bad host %q", s)
	}
	return s, nil
}

// bareHost takes the brackets off an IPv6 address and the root's dot off a name.
func bareHost(s string) string {
	if n := len(s); n > 2 && s[0] == '[' && s[n-1] == ']' {
		return s[1 : n-1]
	}
	return strings.TrimSuffix(s, ".")
}

func validHostName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !validLabel(label) {
			return false
		}
	}
	return true
}

func validLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '-' && c != '_' && !isAlphanumeric(c) {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// validAuthority checks a host that a rewrite sets: a name or address, with an
// optional port.
func validAuthority(s string) bool {
	if _, err := netip.ParseAddrPort(s); err == nil {
		return true
	}
	if _, err := netip.ParseAddr(bareHost(s)); err == nil {
		return true
	}
	name, port, found := strings.Cut(s, ":")
	return validHostName(name) && (!found || validPort(port))
}

func validPort(s string) bool {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' || n > 65535 {
			return false
		}
		n = 10*n + int(s[i]-'0')
	}
	return n >= 1 && n <= 65535
}
