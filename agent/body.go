package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// replayLimit is how much of a request's body is kept, in bytes, so that a
// second attempt can send it again. Larger bodies stream through and are never
// sent twice.
const replayLimit = 64 << 10

// body is a request's body, ready to be sent by one attempt after another.
type body struct {
	length int64   // -1: unknown
	small  []byte  // the whole body when it was read ahead
	stream *stream // otherwise, when there is one
}

// readBody prepares the body of r. A body that says it is small is read ahead,
// so that no instance waits for a slow device; the rest streams.
func readBody(r *http.Request) (*body, error) {
	switch {
	case r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0:
		return &body{}, nil
	case r.ContentLength > 0 && r.ContentLength <= replayLimit:
		buf := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, buf); err != nil {
			return nil, fmt.Errorf("read body of %d bytes: %w", r.ContentLength, err)
		}
		return &body{length: r.ContentLength, small: buf}, drain(r.Body)
	case r.ContentLength < 0 && usuallyBodiless(r.Method):
		return peekBody(r)
	}
	return &body{length: r.ContentLength, stream: &stream{src: r.Body}}, nil
}

// readsAhead says that readBody may have to wait for the device.
func readsAhead(r *http.Request) bool {
	switch {
	case r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0:
		return false
	case r.ContentLength > 0:
		return r.ContentLength <= replayLimit
	}
	return usuallyBodiless(r.Method)
}

// drain reads on to the end of the body, where its trailers are.
func drain(src io.Reader) error {
	var one [1]byte
	n, err := src.Read(one[:])
	switch {
	case n > 0:
		return errors.New("read body: it is longer than its Content-Length")
	case err != nil && err != io.EOF:
		return fmt.Errorf("read end of body: %w", err)
	}
	return nil
}

// HTTP/3 and HTTP/2 do not say whether a request without a length has a body.
func usuallyBodiless(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodOptions:
		return true
	}
	return false
}

func peekBody(r *http.Request) (*body, error) {
	var one [1]byte
	n, err := r.Body.Read(one[:])
	for n == 0 && err == nil {
		n, err = r.Body.Read(one[:])
	}
	if n == 0 {
		if err == io.EOF {
			return &body{}, nil
		}
		return nil, fmt.Errorf("read body: %w", err)
	}
	return &body{length: -1, stream: &stream{src: r.Body, kept: one[:n], read: n, err: err}}, nil
}

// head reads ahead up to limit bytes for a route that decides on the payload.
// It returns nil when the body is larger.
func (b *body) head(limit int) ([]byte, error) {
	if b.stream == nil {
		if len(b.small) > limit {
			return nil, nil
		}
		return b.small, nil
	}
	if limit >= replayLimit {
		limit = replayLimit - 1
	}
	buf := make([]byte, limit+1)
	n, err := io.ReadFull(b.stream.view(), buf)
	switch err {
	case nil:
		return nil, nil
	case io.EOF, io.ErrUnexpectedEOF:
		return buf[:n], nil
	}
	return nil, fmt.Errorf("read body: %w", err)
}

// reader starts the body from its beginning; nil when there is none. Only one
// reader is used at a time; closing one lets the next go on.
func (b *body) reader() io.ReadCloser {
	switch {
	case b.stream != nil:
		return b.stream.view()
	case len(b.small) > 0:
		return io.NopCloser(bytes.NewReader(b.small))
	}
	return nil
}

// replayable reports whether reader may be called again.
func (b *body) replayable() bool {
	return b.stream == nil || !b.stream.lost.Load()
}

// errOutrun says that an earlier attempt read further than is kept.
var errOutrun = errors.New("body was consumed by an earlier attempt")

// stream shares one source among successive attempts and keeps its first
// replayLimit bytes.
type stream struct {
	lost atomic.Bool // more was read than is kept

	mu   sync.Mutex // guards the rest; held while reading, so that a late read of an old attempt is kept for the next
	src  io.Reader
	kept []byte
	read int // bytes taken from src
	err  error
}

func (s *stream) view() *streamView { return &streamView{stream: s} }

type streamView struct {
	stream *stream
	off    int
	closed atomic.Bool
}

func (v *streamView) Read(p []byte) (int, error) {
	s := v.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case v.closed.Load():
		return 0, io.ErrClosedPipe
	case v.off < len(s.kept):
		n := copy(p, s.kept[v.off:])
		v.off += n
		return n, nil
	case v.off != s.read:
		return 0, errOutrun
	case s.err != nil:
		return 0, s.err
	}
	n, err := s.src.Read(p)
	s.keep(p[:n])
	v.off += n
	s.err = err
	return n, err
}

func (s *stream) keep(p []byte) {
	s.read += len(p)
	if s.lost.Load() || len(s.kept)+len(p) > replayLimit {
		s.lost.Store(true)
		return
	}
	s.kept = append(s.kept, p...)
}

// Close stops an attempt's reading; the source stays open for the next one.
func (v *streamView) Close() error {
	v.closed.Store(true)
	return nil
}
