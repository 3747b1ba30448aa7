package upstream

import (
	"net/http"
	"strconv"
	"strings"
)

// maxLengthDigits keeps Content-Length inside int64.
const maxLengthDigits = 18

// head is a response head and the framing it declares.
type head struct {
	status int
	header http.Header // without hop-by-hop fields
	length int64       // declared or implied; -1: not known
	framed framing
	keep   bool // the connection may carry another request
}

type framing uint8

const (
	noBody framing = iota
	sized
	chunked
	untilClose
)

// parseHead reads a status line and field lines. method is that of the request.
// Framing is decided as RFC 9112 section 6.3 says; what that section lets a
// recipient repair is refused.
func parseHead(block, method string) (head, error) {
	line, rest, _ := strings.Cut(block, "\r\n")
	status, minor, err := parseStatusLine(line)
	if err != nil {
		return head{}, err
	}
	header, err := parseFields(rest)
	if err != nil {
		return head{}, err
	}
	h := head{status: status, header: header, keep: minor == 1}
	if err := h.frame(method, minor); err != nil {
		return head{}, err
	}
	h.dropHopByHop()
	return h, nil
}

// parseStatusLine takes "HTTP/1.1 200 OK"; the reason may be empty, its space not.
func parseStatusLine(line string) (status, minor int, err error) {
	if len(line) < 13 || line[:7] != "HTTP/1." || line[8] != ' ' || line[12] != ' ' {
		return 0, 0, violation("malformed status line")
	}
	switch line[7] {
	case '0':
	case '1':
		minor = 1
	default:
		return 0, 0, violation("unknown HTTP version")
	}
	for _, c := range []byte(line[9:12]) {
		if c < '0' || c > '9' {
			return 0, 0, violation("malformed status code")
		}
		status = status*10 + int(c-'0')
	}
	if status < 100 || status > 599 {
		return 0, 0, violation("status code out of range")
	}
	for _, c := range []byte(line[13:]) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return 0, 0, violation("invalid reason phrase")
		}
	}
	return status, minor, nil
}

func (h *head) frame(method string, minor int) error {
	length, err := contentLength(h.header["Content-Length"])
	if err != nil {
		return err
	}
	coding, hasCoding := h.header["Transfer-Encoding"]
	if hasCoding {
		if err := h.checkCoding(coding, length, minor); err != nil {
			return err
		}
	}
	h.length = length
	switch {
	case h.status < 200 || h.status == http.StatusNoContent:
		h.length = 0
		delete(h.header, "Content-Length") // RFC 9110 section 8.6 forbids it there
	case method == http.MethodHead || h.status == http.StatusNotModified:
	case hasCoding:
		h.framed = chunked
	case length >= 0:
		h.framed = sized
	default:
		h.framed, h.keep = untilClose, false
	}
	if h.framed == sized && length == 0 {
		h.framed = noBody
	}
	return nil
}

func (h *head) checkCoding(coding []string, length int64, minor int) error {
	switch {
	case len(coding) != 1 || !strings.EqualFold(coding[0], "chunked"):
		return violation("Transfer-Encoding other than chunked")
	case length >= 0:
		return violation("Transfer-Encoding beside Content-Length")
	case minor == 0:
		return violation("Transfer-Encoding in HTTP/1.0")
	case h.status < 200 || h.status == http.StatusNoContent:
		return violation("Transfer-Encoding with status " + strconv.Itoa(h.status))
	}
	return nil
}

// contentLength gives -1 when there is no field.
func contentLength(values []string) (int64, error) {
	switch {
	case len(values) == 0:
		return -1, nil
	case len(values) > 1:
		return 0, violation("several Content-Length fields")
	case values[0] == "" || len(values[0]) > maxLengthDigits:
		return 0, violation("malformed Content-Length")
	}
	var n int64
	for _, c := range []byte(values[0]) {
		if c < '0' || c > '9' {
			return 0, violation("malformed Content-Length")
		}
		n = n*10 + int64(c-'0')
	}
	return n, nil
}

func (h *head) dropHopByHop() {
	if connection, ok := h.header["Connection"]; ok {
		for _, key := range named(connection) {
			if key == "Close" {
				h.keep = false
			}
			delete(h.header, key)
		}
	}
	for key := range h.header {
		if hopByHop(key) {
			delete(h.header, key)
		}
	}
}
