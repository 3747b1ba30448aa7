package agent

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// requestWith is a request as a server gets one, whose body comes in pieces.
func requestWith(method string, body io.Reader, length int64) *http.Request {
	r := httptest.NewRequest(method, "/", nil)
	r.Body, r.ContentLength = io.NopCloser(body), length
	return r
}

func TestAnyAttemptSeesTheWholeBodyWhileItIsReplayable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := bytes.Repeat([]byte("ab\n"), rapid.IntRange(0, 30000).Draw(t, "triples"))
		length := int64(len(sent))
		if rapid.Bool().Draw(t, "unknown length") {
			length = -1
		}
		b, err := readBody(requestWith("POST", bytes.NewReader(sent), length))
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(0, 3).Draw(t, "failed attempts") {
			part := b.reader()
			if part == nil {
				break
			}
			_, _ = io.CopyN(io.Discard, part, int64(rapid.IntRange(0, len(sent)+1).Draw(t, "read")))
			_ = part.Close()
			if !b.replayable() {
				return
			}
		}
		got := []byte{}
		if whole := b.reader(); whole != nil {
			if got, err = io.ReadAll(whole); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, sent) {
			t.Fatalf("sent %d bytes, the last attempt saw %d", len(sent), len(got))
		}
	})
}

func TestWhatIsLargerThanTheLimitIsNotReplayable(t *testing.T) {
	b, err := readBody(requestWith("POST", strings.NewReader(strings.Repeat("x", replayLimit+1)), -1))
	if err != nil {
		t.Fatal(err)
	}
	first := b.reader()
	if _, err := io.CopyN(io.Discard, first, replayLimit); err != nil || !b.replayable() {
		t.Fatalf("after %d bytes: replayable %v, %v", replayLimit, b.replayable(), err)
	}
	if _, err := io.CopyN(io.Discard, first, 1); err != nil || b.replayable() {
		t.Fatalf("after one more: replayable %v, %v", b.replayable(), err)
	}
	if _, err := io.ReadAll(b.reader()); !errors.Is(err, errOutrun) {
		t.Errorf("a second reader that would miss bytes ends with %v", err)
	}
}

func TestBodiesThatLieAboutTheirLengthAreRefused(t *testing.T) {
	for name, r := range map[string]*http.Request{
		"shorter": requestWith("POST", strings.NewReader("abc"), 5),
		"longer":  requestWith("POST", strings.NewReader("abcdefg"), 5),
	} {
		if _, err := readBody(r); err == nil {
			t.Errorf("%s than Content-Length: accepted", name)
		}
	}
}

func TestRequestsWithoutABodyHaveNone(t *testing.T) {
	for name, r := range map[string]*http.Request{
		"GET of unknown length": requestWith("GET", strings.NewReader(""), -1),
		"POST of no bytes":      requestWith("POST", strings.NewReader(""), 0),
	} {
		b, err := readBody(r)
		if err != nil || b.reader() != nil || b.length != 0 {
			t.Errorf("%s: length %d, %v", name, b.length, err)
		}
	}
	b, err := readBody(requestWith("GET", strings.NewReader("body"), -1))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(b.reader()); err != nil || string(got) != "body" {
		t.Errorf("GET with a body: %q, %v", got, err)
	}
}

func TestPayloadIsReadAheadOnlyUpToTheLimit(t *testing.T) {
	for _, length := range []int64{10, -1} {
		b, err := readBody(requestWith("POST", strings.NewReader("0123456789"), length))
		if err != nil {
			t.Fatal(err)
		}
		if head, err := b.head(9); head != nil || err != nil {
			t.Errorf("length %d: 10 bytes within 9: %q, %v", length, head, err)
		}
		if head, err := b.head(10); string(head) != "0123456789" || err != nil {
			t.Errorf("length %d: 10 bytes within 10: %q, %v", length, head, err)
		}
		if got, err := io.ReadAll(b.reader()); string(got) != "0123456789" || err != nil {
			t.Errorf("length %d: the service sees %q, %v", length, got, err)
		}
	}
}
