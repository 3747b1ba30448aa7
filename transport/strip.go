package transport

import (
	"net/http"
	"strings"
)

// StripMesh removes every Tidegate-* header, before a message leaves the mesh.
func StripMesh(h http.Header) {
	for name := range h {
		if spelledWith(name, "tidegate-") {
			delete(h, name)
		}
	}
}

// StripEdge removes from a device's request what only the edge may say:
// Tidegate-*, ce-*, Forwarded, X-Forwarded-*, X-Real-Ip, Early-Data, and the
// hop-by-hop headers of RFC 9110 section 7.6.1 with those that Connection
// names. Underscores count as dashes, because CGI-like services cannot tell
// them apart.
func StripEdge(h http.Header) {
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for name := range h {
		if edgeOnly(name) {
			delete(h, name)
		}
	}
}

var (
	edgePrefixes = [...]string{"tidegate-", "ce-", "x-forwarded-"}
	edgeNames    = [...]string{
		"forwarded", "x-forwarded", "x-real-ip", "early-data",
		"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization",
		"te", "trailer", "transfer-encoding", "upgrade", "http2-settings",
	}
)

func edgeOnly(name string) bool {
	for _, prefix := range edgePrefixes {
		if spelledWith(name, prefix) {
			return true
		}
	}
	for _, whole := range edgeNames {
		if len(name) == len(whole) && spelledWith(name, whole) {
			return true
		}
	}
	return false
}

// spelledWith is a case-insensitive prefix test that takes "_" for "-".
func spelledWith(name, prefix string) bool {
	if len(name) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		} else if c == '_' {
			c = '-'
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}
