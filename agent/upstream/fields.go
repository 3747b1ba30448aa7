package upstream

import (
	"net/http"
	"net/textproto"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// parseFields reads field lines (RFC 9112 section 5), each with its CRLF, into
// a new header. Keys become canonical. block is kept alive by the result.
func parseFields(block string) (http.Header, error) {
	n := strings.Count(block, "\n")
	header := make(http.Header, n)
	values := make([]string, n)
	for i := range n {
		line, rest, _ := strings.Cut(block, "\r\n")
		block = rest
		key, value, err := parseField(line)
		if err != nil {
			return nil, err
		}
		if have, ok := header[key]; ok {
			header[key] = append(have, value)
			continue
		}
		values[i] = value
		header[key] = values[i : i+1 : i+1]
	}
	return header, nil
}

func parseField(line string) (key, value string, err error) {
	if line == "" || line[0] == ' ' || line[0] == '\t' {
		return "", "", violation("folded field line")
	}
	name, value, ok := strings.Cut(line, ":")
	if !ok || !httpguts.ValidHeaderFieldName(name) {
		return "", "", violation("invalid field name")
	}
	value = strings.Trim(value, " \t")
	if !httpguts.ValidHeaderFieldValue(value) {
		return "", "", violation("invalid field value of " + name)
	}
	return textproto.CanonicalMIMEHeaderKey(name), value, nil
}

// hopByHop reports whether a canonical key is for one connection only
// (RFC 9110 section 7.6.1). TE is; callers treat "trailers" on their own.
func hopByHop(key string) bool {
	switch key {
	case "Connection", "Keep-Alive", "Te", "Transfer-Encoding", "Upgrade", "Http2-Settings":
		return true
	}
	return strings.HasPrefix(key, "Proxy-")
}

// named lists the canonical keys that Connection fields name.
func named(connection []string) []string {
	var keys []string
	for _, value := range connection {
		for option := range strings.SplitSeq(value, ",") {
			keys = append(keys, textproto.CanonicalMIMEHeaderKey(strings.Trim(option, " \t")))
		}
	}
	return keys
}

// trailerAllowed refuses fields that frame, route or authenticate a message
// (RFC 9110 section 6.5.1).
func trailerAllowed(key string) bool {
	return httpguts.ValidTrailerHeader(key) && !hopByHop(key)
}
