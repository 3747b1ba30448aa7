package edge

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	neturl "net/url"
	"path"
	"strings"
	"testing"
)

func expectProblem(t *testing.T, rsp *http.Response, body string, status int) {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("body %q: %v", body, err)
	}
	if rsp.StatusCode != status || p.Status != status || p.Detail == "" ||
		rsp.Header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("status %d, type %q, body %s", rsp.StatusCode, rsp.Header.Get("Content-Type"), body)
	}
}

func TestUnfitRequestsAreRefused(t *testing.T) {
	reached := func(w http.ResponseWriter, r *http.Request) { t.Errorf("the handler saw %s %q", r.Method, r.URL) }
	b := newBench(t, reached, nil)
	many := ""
	for i := range 140 {
		many += fmt.Sprintf("x-%d: 1\r\n", i)
	}
	for _, c := range []struct {
		name, request string
		status        int
		reason        reason
	}{
		{"dot segment", "GET /a/../b HTTP/1.1\r\nHost: h\r\n\r\n", 400, reasonPath},
		{"last dot segment", "GET /a/.. HTTP/1.1\r\nHost: h\r\n\r\n", 400, reasonPath},
		{"single dot", "GET /./a HTTP/1.1\r\nHost: h\r\n\r\n", 400, reasonPath},
		{"encoded dots", "GET /a/%2e%2e/b HTTP/1.1\r\nHost: h\r\n\r\n", 400, reasonPath},
		{"half encoded", "GET /a/.%2E/b HTTP/1.1\r\nHost: h\r\n\r\n", 400, reasonPath},
		{"encoded slash", "GET /a%2f..%2fb HTTP/1.1\r\nHost: h\r\n\r\n", 400, reasonPath},
		{"backslash", "GET /a/..%5cb HTTP/1.1\r\nHost: h\r\n\r\n", 400, reasonPath},
		{"path parameter", "GET /a/..;x/b HTTP/1.1\r\nHost: h\r\n\r\n", 400, reasonPath},
		{"NUL", "GET /a%00b HTTP/1.1\r\nHost: h\r\n\r\n", 400, reasonPath},
		{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 400, reasonPath},
		{"absolute without path", "GET https://h HTTP/1.1\r\nHost: h\r\n\r\n", 400, reasonPath},
		{"no host", "GET /a HTTP/1.0\r\n\r\n", 400, reasonHost},
		{"TRACE", "TRACE /a HTTP/1.1\r\nHost: h\r\n\r\n", 400, reasonMethod},
		{"CONNECT", "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 400, reasonMethod},
		{"upgrade", "GET /a HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 400, reasonUpgrade},
		{"many fields", "GET /a HTTP/1.1\r\nHost: h\r\n" + many + "\r\n", 431, reasonHeaderFields},
		{"unread body", "TRACE /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 400, reasonMethod},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := b.refused(c.reason)
			rsp, body := b.rawAnswer(t, c.request)
			expectProblem(t, rsp, body, c.status)
			if got := b.refused(c.reason) - before; got != 1 {
				t.Fatalf("%v refusals counted as %s, want 1", got, c.reason)
			}
		})
	}
}

func TestUnfitPathsAreRefusedOverEveryProtocol(t *testing.T) {
	b := newBench(t, hello, nil)
	each(t, protocols, func(t *testing.T, proto string) {
		req := must[*http.Request](t)(http.NewRequest("GET", url("/"), nil))
		req.URL = &neturl.URL{Scheme: "https", Host: testHost, Path: "/a/../b", RawPath: "/a/%2e%2e/b"}
		rsp := must[*http.Response](t)(b.client(t, proto).Do(req))
		defer rsp.Body.Close()
		expectProblem(t, rsp, string(must[[]byte](t)(io.ReadAll(rsp.Body))), http.StatusBadRequest)
	})
}

func TestMissingHostIsRefusedByTheServers(t *testing.T) {
	b := newBench(t, hello, nil)
	if rsp, _ := b.rawAnswer(t, "GET / HTTP/1.1\r\n\r\n"); rsp.StatusCode != http.StatusBadRequest {
		t.Fatalf("status %d", rsp.StatusCode)
	}
}

// net/http follows RFC 9112 section 6.3: the chunked coding counts, and the
// length is gone before anybody could forward it.
func TestContentLengthBesideChunkedNeverReachesTheHandler(t *testing.T) {
	b := newBench(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%q %v %d %q", body, err, r.ContentLength, r.Header["Content-Length"])
	}, nil)
	_, body := b.rawAnswer(t, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
	if want := `"hi" <nil> -1 []`; body != want {
		t.Fatalf("the handler saw %s, want %s", body, want)
	}
	for _, framing := range []string{
		"Content-Length: 2\r\nContent-Length: 3\r\n", "Content-Length: -1\r\n", "Content-Length: +2\r\n",
		"Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
	} {
		rsp, _ := b.rawAnswer(t, "POST / HTTP/1.1\r\nHost: h\r\n"+framing+"\r\nhi")
		if rsp.StatusCode < 400 || rsp.StatusCode > 501 {
			t.Errorf("%q: status %d", framing, rsp.StatusCode)
		}
	}
}

func TestAbsoluteFormIsServedAsOriginForm(t *testing.T) {
	b := newBench(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host, " ", r.URL) }, nil)
	if _, body := b.rawAnswer(t, "GET https://h/a?b HTTP/1.1\r\nHost: other\r\n\r\n"); body != "h /a?b" {
		t.Fatalf("the handler saw %q", body)
	}
}

func TestLargeHeadersAreRefused(t *testing.T) {
	b := newBench(t, hello, nil)
	each(t, protocols, func(t *testing.T, proto string) {
		req := must[*http.Request](t)(http.NewRequest("GET", url("/"), nil))
		req.Header.Set("X-Large", strings.Repeat("x", 60<<10))
		rsp, err := b.client(t, proto).Do(req)
		if err != nil {
			if proto == "h2" {
				return // the client knows the limit from SETTINGS
			}
			t.Fatal(err)
		}
		defer rsp.Body.Close()
		if rsp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Fatalf("status %d", rsp.StatusCode)
		}
		if rsp, _ := get(t, b.client(t, proto), "/"); rsp.StatusCode != http.StatusOK {
			t.Fatalf("then status %d", rsp.StatusCode)
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, seed := range []string{
		"/", "", "a", "/a/../b", "/a/%2e%2e/b", "/..", "/.", "/a/.b", "/a..b", "/a/..;x/b", "/a\\..\\b", "/a\x00", "//", "/.../",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if decoded, err := neturl.PathUnescape(p); err == nil {
			p = decoded
		}
		accepted := checkPath(p) == nil
		plain := strings.ReplaceAll(p, `\`, "/")
		kept := p != "" && p[0] == '/' && !strings.ContainsRune(p, 0)
		for segment := range strings.SplitSeq(plain, "/") {
			segment, _, _ = strings.Cut(segment, ";")
			kept = kept && segment != "." && segment != ".."
		}
		if accepted != kept {
			t.Fatalf("%q: accepted %v, want %v", p, accepted, kept)
		}
		if accepted && path.Clean(p) != path.Clean(squeeze(p)) {
			t.Fatalf("%q is cleaned to %q", p, path.Clean(p))
		}
	})
}

// squeeze drops empty segments, all that cleaning may change.
func squeeze(p string) string {
	var kept []string
	for segment := range strings.SplitSeq(p, "/") {
		if segment != "" {
			kept = append(kept, segment)
		}
	}
	return "/" + strings.Join(kept, "/")
}
