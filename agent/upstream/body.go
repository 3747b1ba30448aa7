package upstream

import (
	"errors"
	"io"
	"net/http"
)

// answer is a Response and its body in one allocation.
type answer struct {
	Response
	body body
}

// body is the rest of an answer on its connection.
type body struct {
	cn     *conn // nil: finished
	framed framing
	keep   bool
	left   int64 // of a sized body
	chunks chunks
	err    error // sticky; nil while there may be more
}

var errReadAfterClose = errors.New("upstream: read of a closed response body")

// Read waits for the instance when nothing has arrived.
func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, b.err
	}
	data, err := b.next()
	if err != nil {
		return 0, err
	}
	n := copy(p, data)
	b.consume(n)
	return n, nil
}

// WriteTo writes the whole rest to w.
func (b *body) WriteTo(w io.Writer) (int64, error) { return b.copyTo(w, nil) }

func (b *body) copyTo(w io.Writer, beforeWait func() error) (int64, error) {
	if b.cn != nil && beforeWait != nil {
		b.cn.in.wait = func() error { return wrapSink(beforeWait()) }
	}
	for total := int64(0); ; {
		data, err := b.next()
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return total, err
		}
		n, err := w.Write(data)
		total += int64(n)
		if err != nil {
			return total, err
		}
		b.consume(len(data))
	}
}

// next gives data that has arrived, waiting for some, or the sticky error.
func (b *body) next() ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	n, err := b.arrived()
	switch {
	case err != nil:
		return nil, b.fail(err)
	case n == 0:
		b.end(io.EOF, b.keep)
		return nil, io.EOF
	}
	in := &b.cn.in
	return in.buf[in.r : in.r+n], nil
}

// arrived gives the length of the data at hand; 0: the body has ended.
func (b *body) arrived() (int, error) {
	in := &b.cn.in
	switch b.framed {
	case chunked:
		return b.chunks.next()
	case sized:
		if b.left > 0 && in.r == in.w {
			if err := in.more(); err != nil {
				return 0, cut(err)
			}
		}
		return int(min(b.left, int64(in.w-in.r))), nil
	}
	if in.r == in.w {
		if err := in.more(); err != nil && err != io.EOF {
			return 0, err
		}
	}
	return in.w - in.r, nil
}

// consume gives the connection back as soon as the last byte is taken.
func (b *body) consume(n int) {
	switch b.framed {
	case chunked:
		b.chunks.consume(n)
	case sized:
		b.cn.in.r += n
		if b.left -= int64(n); b.left == 0 {
			b.end(io.EOF, b.keep)
		}
	default:
		b.cn.in.r += n
	}
}

func (b *body) fail(err error) error {
	var sink *sinkError
	if errors.As(err, &sink) {
		b.end(sink.err, false)
		return b.err
	}
	e := b.cn.fail("read response body", err)
	b.end(e, false)
	return e
}

func (b *body) end(err error, keep bool) {
	b.err = err
	if cn := b.cn; cn != nil {
		b.cn, b.chunks.in = nil, nil
		cn.finish(keep)
	}
}

// Close gives the connection back, or closes it when the body is not at its end.
func (b *body) Close() error {
	if b.cn != nil {
		b.end(errReadAfterClose, false)
	}
	return nil
}

func (b *body) trailers() http.Header {
	if b.err != io.EOF {
		return nil
	}
	return b.chunks.trailer
}

// sinkError keeps a failure of the copy's target apart from the instance's.
type sinkError struct{ err error }

func (e *sinkError) Error() string { return e.err.Error() }

func wrapSink(err error) error {
	if err == nil {
		return nil
	}
	return &sinkError{err}
}
