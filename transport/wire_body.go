package transport

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
)

// errRequestBody: the request failed for want of its own body.
var errRequestBody = errors.New("read request body")

// watchedBody is a request's body that remembers how it failed, if not at
// writing it: by its own error, or by not being as long as announced. It has
// no WriteTo, so that io.CopyBuffer uses the buffer.
type watchedBody struct {
	body   io.ReadCloser
	length int64 // announced; ≤ 0: unknown
	read   int64
	failed atomic.Pointer[error]
}

// watchBody returns nil for a request without a body.
func watchBody(req *http.Request) *watchedBody {
	if req.Body == nil || req.Body == http.NoBody {
		return nil
	}
	return &watchedBody{body: req.Body, length: req.ContentLength}
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.read += int64(n)
	if b.length > 0 && (b.read > b.length || err == io.EOF && b.read < b.length) {
		err = fmt.Errorf("%d bytes are announced, %d came", b.length, b.read)
	}
	if err == nil || err == io.EOF {
		return n, err
	}
	err = fmt.Errorf("%w: %w", errRequestBody, err)
	b.failed.Store(&err)
	return 0, err
}

func (b *watchedBody) Close() error { return b.body.Close() }

// failure is nil for a body that did not fail, and for none.
func (b *watchedBody) failure() error {
	if b == nil {
		return nil
	}
	if err := b.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// withWatchedBody is the request as another client should send it.
func withWatchedBody(req *http.Request) (*http.Request, *watchedBody) {
	body := watchBody(req)
	if body == nil {
		return req, nil
	}
	watched := *req
	watched.Body = body
	return &watched, body
}
