package upstream

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// outgoing is a request ready for the wire.
type outgoing struct {
	bytes []byte // head, and the body too unless it streams
	head  int    // length of the head in bytes
	body  io.Reader
	left  int64 // length of body; -1: unknown, chunked
	req   *Request
}

var errShortBody = errors.New("body shorter than its declared length")

// prepare settles the body, then writes the head, and a body held in memory,
// into buf.
func prepare(buf *[]byte, req *Request, addr string) (outgoing, error) {
	out := outgoing{req: req}
	if err := out.settleBody(); err != nil {
		return out, &Error{Op: "read request body", Addr: addr, Kind: ErrBody, Err: err}
	}
	b, err := out.appendHead((*buf)[:0], addr)
	if err != nil {
		return out, &Error{Op: "write request head", Addr: addr, Kind: ErrRequest, NotSent: true, Err: err}
	}
	out.head = len(b)
	if out.body == nil {
		b = append(b, req.Bytes...)
	}
	out.bytes, *buf = b, b[:cap(b)]
	return out, nil
}

// settleBody leaves in out.body only what has to be streamed.
func (out *outgoing) settleBody() error {
	req := out.req
	switch {
	case req.Bytes != nil:
	case !req.streams():
		return nil
	case req.ContentLength > 0 && req.ContentLength <= MaxReplayable:
		if err := readWhole(req); err != nil {
			return err
		}
	case req.ContentLength < 0 && bodyUnusual(req.Method):
		if err := probe(req); err != nil {
			return err
		}
	}
	switch {
	case req.Bytes == nil && req.Body != nil:
		out.body, out.left = req.Body, req.ContentLength
	case len(req.Bytes) > MaxReplayable || req.Trailer != nil:
		out.body, out.left = &replay{left: req.Bytes}, int64(len(req.Bytes))
	}
	if req.Trailer != nil {
		out.left = -1
	}
	return nil
}

// replay reads Bytes without consuming them.
type replay struct{ left []byte }

func (r *replay) Read(p []byte) (int, error) {
	if len(r.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

func readWhole(req *Request) error {
	whole := make([]byte, req.ContentLength)
	if _, err := io.ReadFull(req.Body, whole); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return errShortBody
		}
		return err
	}
	req.Bytes, req.Body = whole, nil
	return nil
}

func bodyUnusual(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// probe finds out whether a request of unknown length has a body at all: HTTP/3
// servers cannot tell before reading, and most GETs have none.
func probe(req *Request) error {
	first := make([]byte, 512)
	n, err := 0, error(nil)
	for n == 0 && err == nil {
		n, err = req.Body.Read(first)
	}
	switch {
	case err == io.EOF && n == 0:
		req.Body = nil
	case err == io.EOF:
		req.Bytes, req.Body = first[:n], nil
	case err != nil:
		return err
	default:
		req.Body = io.MultiReader(&replay{left: first[:n]}, req.Body)
	}
	return nil
}

// appendHead writes request line and fields (RFC 9112 sections 3 and 5).
func (out *outgoing) appendHead(b []byte, addr string) ([]byte, error) {
	method, host := out.req.Method, out.req.Host
	if method == "" {
		method = http.MethodGet
	}
	if host == "" {
		host = addr
	}
	if err := checkRequestLine(method, out.req.RequestURI, host); err != nil {
		return b, err
	}
	b = append(append(append(b, method...), ' '), out.req.RequestURI...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(append(b, host...), "\r\n"...)
	b, err := appendFields(b, out.req.Header)
	if err != nil {
		return b, err
	}
	return append(out.appendFraming(b, method), "\r\n"...), nil
}

func checkRequestLine(method, uri, host string) error {
	switch {
	case !httpguts.ValidHeaderFieldName(method) || method == http.MethodConnect:
		return fmt.Errorf("method %q cannot be forwarded", method)
	case uri == "*" && method == http.MethodOptions:
	case uri == "" || uri[0] != '/':
		return fmt.Errorf("request target %.100q does not begin with /", uri)
	}
	for i := range len(uri) {
		if uri[i] <= ' ' || uri[i] >= 0x7f || uri[i] == '#' {
			return fmt.Errorf("request target %.100q holds a character that must be escaped", uri)
		}
	}
	if path, _, _ := strings.Cut(uri, "?"); !escapedWell(path) {
		return fmt.Errorf("request target %.100q holds a %% without two hexadecimal digits", uri)
	}
	if !httpguts.ValidHostHeader(host) || strings.ContainsAny(host, "/?#@\\, ") {
		return fmt.Errorf("host %.100q is invalid", host)
	}
	return nil
}

// escapedWell holds a path to RFC 3986 section 2.1. Queries are let be: many
// clients leave a bare % in them, and services cope.
func escapedWell(path string) bool {
	for i := 0; i < len(path); i++ {
		if path[i] != '%' {
			continue
		}
		if i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2]) {
			return false
		}
		i += 2
	}
	return true
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// appendFields writes what may pass to the next hop.
func appendFields(b []byte, header http.Header) ([]byte, error) {
	var drop []string
	if connection, ok := header["Connection"]; ok {
		drop = named(connection)
	}
	for name, values := range header {
		key := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			return b, fmt.Errorf("field name %.100q is invalid", name)
		case key == "Te" && httpguts.HeaderValuesContainsToken(values, "trailers"):
			b = append(b, "TE: trailers\r\nConnection: TE\r\n"...)
			continue
		case ownField(key) || hopByHop(key) || contains(drop, key):
			continue
		case key == "Cookie" && len(values) > 1: // RFC 9114 section 4.2.1
			values = []string{strings.Join(values, "; ")}
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return b, fmt.Errorf("value of field %s is invalid", name)
			}
			b = append(append(b, name...), ": "...)
			b = append(append(b, value...), "\r\n"...)
		}
	}
	return b, nil
}

// ownField reports whether the client writes that field itself, or never.
func ownField(key string) bool {
	switch key {
	case "Host", "Content-Length", "Trailer", "Expect":
		return true
	}
	return false
}

func contains(keys []string, key string) bool {
	for _, k := range keys {
		if k == key {
			return true
		}
	}
	return false
}

func (out *outgoing) appendFraming(b []byte, method string) []byte {
	switch {
	case out.body != nil && out.left < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		return out.appendTrailerNames(b)
	case out.body != nil:
		b = strconv.AppendInt(append(b, "Content-Length: "...), out.left, 10)
	case len(out.req.Bytes) > 0 || !bodyUnusual(method):
		b = strconv.AppendInt(append(b, "Content-Length: "...), int64(len(out.req.Bytes)), 10)
	default:
		return b
	}
	return append(b, "\r\n"...)
}

func (out *outgoing) appendTrailerNames(b []byte) []byte {
	if out.req.Trailer == nil {
		return b
	}
	separator := "Trailer: "
	for name := range out.req.Trailer() {
		if key := textproto.CanonicalMIMEHeaderKey(name); trailerAllowed(key) && httpguts.ValidHeaderFieldName(key) {
			b = append(append(b, separator...), key...)
			separator = ", "
		}
	}
	if separator == ", " {
		b = append(b, "\r\n"...)
	}
	return b
}

// mayRepeat reports whether the request may be written again after err.
func (req *Request) mayRepeat(err error) bool {
	return errors.Is(err, ErrNotSent) || req.idempotent() && !req.streams()
}

func (req *Request) streams() bool {
	return req.Bytes == nil && req.Body != nil && req.Body != http.NoBody && req.ContentLength != 0
}

func (req *Request) idempotent() bool {
	if req.Repeat != RepeatByMethod {
		return req.Repeat == RepeatAlways
	}
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}
