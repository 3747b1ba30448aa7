package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// inlineBody is the largest body, in bytes, that is written by the caller's
// goroutine; only bodies that GetBody can give again, which are in memory.
const inlineBody = 64 << 10

const max1xx = 5

const codeCanceled = quic.StreamErrorCode(http3.ErrCodeRequestCanceled)

// copyBuffers lends []byte to copy bodies with.
type copyBuffers = *sync.Pool

// roundTrip does what http3.ClientConn.RoundTrip does, with less: no goroutine
// that waits for the context, none for a body in memory. It also knows how far
// a failed request came.
func (w *quicWire) roundTrip(req *http.Request, copying copyBuffers) (*http.Response, error) {
	if len(req.Trailer) > 0 {
		return w.roundTripTrailers(req)
	}
	ctx := req.Context()
	str, err := w.client.OpenRequestStream(ctx)
	if err != nil {
		closeBody(req)
		return nil, notSent(err)
	}
	x := &exchange{str: str, body: req.Body}
	x.stop = context.AfterFunc(ctx, x.cancel)
	if err := str.SendRequestHeader(headerOnly(req)); err != nil {
		x.abort()
		return nil, notSent(err)
	}
	x.send(req, copying)
	resp, err := readResponse(str)
	if err != nil {
		x.abort()
		if failed := x.bodyFail.Load(); failed != nil {
			return nil, *failed
		}
		return nil, refusedKind(err)
	}
	resp.Request = req
	resp.Body = &exchangeBody{exchange: x, ReadCloser: resp.Body}
	return resp, nil
}

// headerOnly is the request as SendRequestHeader takes it: with a body that is
// not there, but whose length is announced.
func headerOnly(req *http.Request) *http.Request {
	if req.Body == nil || req.Body == http.NoBody {
		return req
	}
	header := *req
	header.Body = http.NoBody
	return &header
}

func readResponse(str *http3.RequestStream) (*http.Response, error) {
	for range max1xx {
		resp, err := str.ReadResponse()
		if err != nil || resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, err
		}
	}
	return nil, fmt.Errorf("peer sent more than %d informational responses", max1xx)
}

// exchange is one request on its stream.
type exchange struct {
	str      *http3.RequestStream
	body     io.ReadCloser // of the request; nil: none
	stop     func() bool   // ends the watch over the context
	sent     atomic.Bool   // the request body is through
	bodyFail atomic.Pointer[error]
}

func (x *exchange) cancel() {
	x.str.CancelWrite(codeCanceled)
	x.str.CancelRead(codeCanceled)
}

// abort gives the exchange up.
func (x *exchange) abort() {
	x.stop()
	x.cancel()
	if x.body != nil {
		x.body.Close()
	}
}

func (x *exchange) send(req *http.Request, copying copyBuffers) {
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		x.sent.Store(true)
		x.str.Close()
	case req.GetBody != nil && req.ContentLength > 0 && req.ContentLength <= inlineBody:
		x.sendBody(req.ContentLength, copying)
	default:
		go x.sendBody(req.ContentLength, copying) // ends with the stream, or when the body is closed
	}
}

// sendBody streams the body; length ≤ 0: unknown.
func (x *exchange) sendBody(length int64, copying copyBuffers) {
	buffer := copying.Get().(*[]byte)
	body := bodyReader{body: x.body}
	n, err := io.CopyBuffer(writerOnly{x.str}, &body, *buffer)
	copying.Put(buffer)
	if err == nil && length > 0 && n != length {
		body.err = fmt.Errorf("ContentLength is %d, body has %d bytes", length, n)
	}
	if body.err != nil {
		failed := fmt.Errorf("%w: %w", errRequestBody, body.err)
		x.bodyFail.Store(&failed)
	}
	if err != nil || body.err != nil {
		x.str.CancelWrite(codeCanceled) // nothing when the peer wanted no more
	} else {
		x.sent.Store(true)
		x.str.Close()
	}
	x.body.Close()
}

// errRequestBody: the request failed for want of its own body.
var errRequestBody = errors.New("read request body")

// bodyReader remembers that reading failed, not writing; it also hides
// WriteTo, as writerOnly hides ReadFrom, so that CopyBuffer uses the buffer.
type bodyReader struct {
	body io.Reader
	err  error
}

func (r *bodyReader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

type writerOnly struct{ io.Writer }

// exchangeBody is the response body: its end is the exchange's.
type exchangeBody struct {
	*exchange
	io.ReadCloser
	ended atomic.Bool // Close may come from another goroutine than Read
}

func (b *exchangeBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && b.ended.CompareAndSwap(false, true) {
		b.stop()
		if !b.sent.Load() && b.body != nil {
			b.body.Close() // answered in full: the rest of the request is of no use
		}
	}
	return n, err
}

func (b *exchangeBody) Close() error {
	if b.ended.CompareAndSwap(false, true) {
		b.abort()
	}
	return b.ReadCloser.Close()
}

// roundTripTrailers is for requests with trailers, which only
// http3.ClientConn.RoundTrip can send.
func (w *quicWire) roundTripTrailers(req *http.Request) (*http.Response, error) {
	var wrote atomic.Bool
	trace := &httptrace.ClientTrace{WroteHeaders: func() { wrote.Store(true) }}
	resp, err := w.client.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err == nil {
		return resp, nil
	}
	closeBody(req)
	if !wrote.Load() {
		return nil, notSent(err)
	}
	return nil, refusedKind(err)
}

// refusedKind marks what the peer says it did not process (RFC 9114 section
// 4.1.1).
func refusedKind(err error) error {
	if e, ok := errors.AsType[*http3.Error](err); ok && e.Remote && e.ErrorCode == http3.ErrCodeRequestRejected {
		return notSent(err)
	}
	return err
}

func notSent(err error) error { return fmt.Errorf("%w: %w", ErrNotSent, err) }

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}
