package policy

import (
	"fmt"
	"net/textproto"
	"strings"
)

// headerFix says how a header is written.
const headerFix = "write a name of letters, digits and '-', and a value on one line"

// parseHeaderName returns the canonical form of a header's name.
func parseHeaderName(s string) (string, error) {
	if s == "" || strings.IndexFunc(s, func(r rune) bool { return !isTokenRune(r) }) >= 0 {
		return "", fmt.Errorf("bad name of a header: %q", s)
	}
	return textproto.CanonicalMIMEHeaderKey(s), nil
}

// isTokenRune tells the characters of a token, RFC 9110 section 5.6.2.
func isTokenRune(r rune) bool {
	return r < 0x80 && (isAlphanumeric(byte(r)) || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
}

func isToken(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !isTokenRune(r) }) < 0
}

// reservedHeader says why a policy may not set or remove a header, "" where it
// may. Names are canonical.
func reservedHeader(name string) string {
	switch name {
	case "Host":
		return "the host is changed by rewrite.host"
	case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length":
		return "it belongs to the connection"
	case "Ce-Id":
		return "services recognise a redelivered message by it"
	}
	if strings.HasPrefix(name, "Tidegate-") {
		return "only agents may carry it"
	}
	return ""
}

// checkHeaderValue refuses what would end the header.
func checkHeaderValue(s string) error {
	for i := range len(s) {
		if c := s[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return fmt.Errorf("the value %q has a control character", s)
		}
	}
	return nil
}

// editableHeader checks a header that a policy sets or removes, and says what
// to do about one that it may not.
func editableHeader(s string) (name, fix string, err error) {
	if name, err = parseHeaderName(s); err != nil {
		return "", headerFix, err
	}
	if reason := reservedHeader(name); reason != "" {
		return "", "remove it", fmt.Errorf("%s may not be changed: %s", name, reason)
	}
	return name, "", nil
}

// settableHeader checks a header and its value.
func settableHeader(s, value string) (name, fix string, err error) {
	if name, fix, err = editableHeader(s); err != nil {
		return "", fix, err
	}
	return name, headerFix, checkHeaderValue(value)
}
