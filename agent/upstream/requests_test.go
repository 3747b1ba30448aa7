package upstream

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func wireOf(t *testing.T, req *Request) string {
	t.Helper()
	var buf []byte
	out, err := prepare(&buf, req, "127.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	return string(out.bytes)
}

func TestSmallRequestIsOnePiece(t *testing.T) {
	got := wireOf(t, &Request{Method: "POST", RequestURI: "/a?b", Host: "svc", Bytes: []byte("body"), Header: http.Header{"X-A": {"1"}}})
	if want := "POST /a?b HTTP/1.1\r\nHost: svc\r\nX-A: 1\r\nContent-Length: 4\r\n\r\nbody"; got != want {
		t.Errorf("got %q", got)
	}
}

func TestHopByHopFieldsAreNotForwarded(t *testing.T) {
	got := wireOf(t, &Request{Method: "POST", RequestURI: "/", Bytes: []byte("x"), Header: http.Header{
		"Connection": {"x-mine, Keep-Alive"}, "X-Mine": {"1"}, "Keep-Alive": {"5"}, "Te": {"gzip"}, "transfer-encoding": {"chunked"},
		"Transfer-Encoding": {"chunked"}, "Upgrade": {"h2c"}, "Proxy-Authorization": {"secret"}, "proxy-connection": {"close"},
		"Expect": {"100-continue"}, "Content-Length": {"99"}, "content-length": {"98"}, "Host": {"evil"}, "Trailer": {"X"}, "Http2-Settings": {"A"},
	}})
	if want := "POST / HTTP/1.1\r\nHost: 127.0.0.1:80\r\nContent-Length: 1\r\n\r\nx"; got != want {
		t.Errorf("got %q", got)
	}
}

func TestTrailersMayBeAskedFor(t *testing.T) {
	got := wireOf(t, &Request{RequestURI: "/", Header: http.Header{"Te": {"gzip, trailers"}}})
	if want := "GET / HTTP/1.1\r\nHost: 127.0.0.1:80\r\nTE: trailers\r\nConnection: TE\r\n\r\n"; got != want {
		t.Errorf("got %q", got)
	}
}

func TestSplitCookiesAreJoined(t *testing.T) {
	got := wireOf(t, &Request{RequestURI: "/", Header: http.Header{"Cookie": {"a=1", "b=2"}, "X": {"1", "2"}}})
	if !strings.Contains(got, "Cookie: a=1; b=2\r\n") || !strings.Contains(got, "X: 1\r\nX: 2\r\n") {
		t.Errorf("got %q", got)
	}
}

// TestRequestsThatWouldBreakFramingAreRefused names the culprit and sends nothing.
func TestRequestsThatWouldBreakFramingAreRefused(t *testing.T) {
	c := newClient(t, Config{})
	for culprit, req := range map[string]*Request{
		"GET /x":     {Method: "GET /x", RequestURI: "/"},
		"CONNECT":    {Method: "CONNECT", RequestURI: "/"},
		"/a b":       {RequestURI: "/a b"},
		`/a\r\nX: y`: {RequestURI: "/a\r\nX: y"},
		"/ü":         {RequestURI: "/ü"},
		"/#frag":     {RequestURI: "/#frag"},
		"http://x/":  {RequestURI: "http://x/"},
		"*":          {RequestURI: "*"},
		`h\r\nX: y`:  {RequestURI: "/", Host: "h\r\nX: y"},
		"h/p":        {RequestURI: "/", Host: "h/p"},
		"a@h":        {RequestURI: "/", Host: "a@h"},
		`X\r\nY`:     {RequestURI: "/", Header: http.Header{"X\r\nY": {"1"}}},
		"X Y":        {RequestURI: "/", Header: http.Header{"X Y": {"1"}}},
		"X-Cr":       {RequestURI: "/", Header: http.Header{"X-Cr": {"1\r\nY: 2"}}},
		"X-Nul":      {RequestURI: "/", Header: http.Header{"X-Nul": {"1\x00"}}},
	} {
		_, err := c.Do(t.Context(), "127.0.0.1:1", req)
		if !errors.Is(err, ErrRequest) || !errors.Is(err, ErrNotSent) || !strings.Contains(err.Error(), culprit) {
			t.Errorf("%s: %v", culprit, err)
		}
	}
}

func TestConnectionNamesAreCanonical(t *testing.T) {
	if got := named([]string{"close, x-a", "\tX-b "}); !slices.Equal(got, []string{"Close", "X-A", "X-B"}) {
		t.Errorf("got %q", got)
	}
}
