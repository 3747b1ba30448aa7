package upstream

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzResponse: any bytes are parsed or refused alike however they are cut, and
// what is accepted here net/http accepts with the same status and framing.
func FuzzResponse(f *testing.F) {
	for _, tc := range answerCases(f) {
		f.Add([]byte(tc.Raw), tc.Method == http.MethodHead)
	}
	f.Fuzz(func(t *testing.T, raw []byte, isHead bool) {
		method := http.MethodPost
		if isHead {
			method = http.MethodHead
		}
		whole := parseAnswer(bytes.NewReader(raw), method)
		bytewise := parseAnswer(iotest.OneByteReader(bytes.NewReader(raw)), method)
		if !reflect.DeepEqual(whole, bytewise) {
			t.Fatalf("whole: %+v\nbyte by byte: %+v", whole, bytewise)
		}
		if whole.head.status < 200 || whole.err != "" {
			return
		}
		compareWithNetHTTP(t, raw, method, whole)
	})
}

func compareWithNetHTTP(t *testing.T, raw []byte, method string, got parsed) {
	want, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("accepted what net/http refuses: %v", err)
	}
	defer want.Body.Close()
	if want.StatusCode != got.head.status {
		t.Fatalf("status %d, net/http says %d", got.head.status, want.StatusCode)
	}
	if got.head.framed == chunked {
		body, err := io.ReadAll(want.Body)
		if err != nil || string(body) != got.body {
			t.Fatalf("body %q, net/http says %q, %v", got.body, body, err)
		}
	}
	if got.head.framed == sized && want.ContentLength != got.head.length {
		t.Fatalf("length %d, net/http says %d", got.head.length, want.ContentLength)
	}
}

// FuzzChunked: decoding what upload's framing encoded gives the same bytes, and
// no bytes crash the decoder or make it hand out more than it was given.
func FuzzChunked(f *testing.F) {
	f.Add([]byte("3\r\nabc\r\n0\r\n\r\n"))
	f.Add([]byte("1;a=b\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n"))
	f.Add([]byte("ffffffffffffffff\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		body, _, _ := decodeChunks(&input{src: bytes.NewReader(raw), buf: make([]byte, 16)})
		if len(body) > len(raw) {
			t.Fatalf("%d bytes out of %d", len(body), len(raw))
		}
		if len(raw) == 0 {
			return
		}
		buf := make([]byte, chunkRoom+len(raw)+chunkTail)
		copy(buf[chunkRoom:], raw)
		wire, err := appendLastChunk(bytes.Clone(frameChunk(buf, len(raw))), nil)
		if err != nil {
			t.Fatal(err)
		}
		back, _, err := decodeChunks(&input{src: iotest.HalfReader(bytes.NewReader(wire)), buf: make([]byte, 16)})
		if err != nil || back != string(raw) {
			t.Fatalf("got %q, %v, want %q", back, err, raw)
		}
	})
}

// FuzzRequest: whatever a device makes of method, target, host and fields, the
// bytes written parse as exactly one request with that method and target.
func FuzzRequest(f *testing.F) {
	f.Add("POST", "/v1/x?y=z", "telemetry", "X-Kind", "alarm", "body")
	f.Add("GET", "/ HTTP/1.1\r\nX: y", "h", "A", "b", "")
	f.Add("PUT", "/", "h\r\nX: y", "Transfer-Encoding", "chunked", "1")
	f.Add("POST", "/", "h", "X", "y\r\nContent-Length: 0", "12")
	f.Add("POST", "/", "h", "content-length", "0", "12")
	f.Add("GET", "/%", "h", "A", "b", "")
	f.Add("GET", "/%2f%zz?100%", "h", "A", "b", "")
	f.Fuzz(func(t *testing.T, method, uri, host, name, value, body string) {
		var buf []byte
		req := &Request{Method: method, RequestURI: uri, Host: host, Header: http.Header{name: {value}}, Bytes: []byte(body)}
		out, err := prepare(&buf, req, "127.0.0.1:1")
		if err != nil {
			return
		}
		r := bufio.NewReader(strings.NewReader(string(out.bytes)))
		got, err := http.ReadRequest(r)
		if err != nil {
			t.Fatalf("%q does not parse: %v", out.bytes, err)
		}
		read, err := io.ReadAll(got.Body)
		if err != nil || string(read) != body || r.Buffered() > 0 {
			t.Fatalf("%q: body %q, %v, %d bytes after it", out.bytes, read, err, r.Buffered())
		}
		if method != "" && got.Method != method || got.RequestURI != uri {
			t.Fatalf("%q became %s %s", out.bytes, got.Method, got.RequestURI)
		}
	})
}
