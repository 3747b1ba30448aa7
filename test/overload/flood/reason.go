package flood

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Reason is why a request was refused, as the answer says.
type Reason uint8

// The first reason is none given.
const reasonNone Reason = 0

// reasons is the table of all reasons seen, in the order of their appearance.
type reasons struct {
	mu    sync.Mutex // guards names
	names []string
}

func (t *reasons) of(name string) Reason {
	if name == "" {
		return reasonNone
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, known := range t.names {
		if known == name {
			return Reason(i + 1)
		}
	}
	if len(t.names) >= 200 {
		return reasonNone
	}
	t.names = append(t.names, name)
	return Reason(len(t.names))
}

// Name is the word for a reason, empty for none.
func (t *reasons) Name(r Reason) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r == reasonNone || int(r) > len(t.names) {
		return ""
	}
	return t.names[r-1]
}

// read takes what a refusal says: "reason" of a problem (RFC 9457), and
// Retry-After in seconds. The body is read to its end in any case.
func (t *reasons) read(rsp *http.Response) (Reason, time.Duration, error) {
	defer rsp.Body.Close()
	if rsp.StatusCode < 400 {
		_, err := io.Copy(io.Discard, rsp.Body)
		return reasonNone, 0, err
	}
	body, err := io.ReadAll(io.LimitReader(rsp.Body, 2048))
	seconds, _ := strconv.Atoi(rsp.Header.Get("Retry-After"))
	return t.of(reasonIn(body)), time.Duration(min(max(seconds, 0), 60)) * time.Second, err
}

func reasonIn(body []byte) string {
	_, rest, found := bytes.Cut(body, []byte(`"reason"`))
	if !found {
		return ""
	}
	_, rest, _ = bytes.Cut(rest, []byte(`"`))
	name, _, found := bytes.Cut(rest, []byte(`"`))
	if !found {
		return ""
	}
	return string(name)
}
