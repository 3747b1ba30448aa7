package transport

import (
	"cmp"
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
	x := &exchange{str: str, body: watchBody(req)}
	x.stop = context.AfterFunc(ctx, x.cancel)
	if err := str.SendRequestHeader(headerOnly(req)); err != nil {
		x.abort()
		return nil, notSent(err)
	}
	x.send(req, copying)
	resp, err := readResponse(str)
	if err != nil {
		x.abort()
		return nil, cmp.Or(x.body.failure(), refusedKind(err))
	}
	resp.Request = req
	resp.Body = &exchangeBody{exchange: x, ReadCloser: resp.Body}
	return resp, nil
}

// headerOnly is the request as SendRequestHeader takes it: with a body that is
// not there, but whose length is announced, 0 too.
func headerOnly(req *http.Request) *http.Request {
	if req.Body == nil {
		return req
	}
	header := *req
	header.Body = http.NoBody
	if req.Body == http.NoBody {
		header.Body, header.ContentLength = nil, 0
	}
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
	str  *http3.RequestStream
	body *watchedBody // of the request; nil: none
	stop func() bool  // ends the watch over the context
	sent atomic.Bool  // the request body is through
}

func (x *exchange) cancel() {
	x.str.CancelWrite(codeCanceled)
	x.str.CancelRead(codeCanceled)
}

// abort gives the exchange up.
func (x *exchange) abort() {
	x.stop()
	x.cancel()
	x.closeBody()
}

func (x *exchange) closeBody() {
	if x.body != nil {
		x.body.Close()
	}
}

func (x *exchange) send(req *http.Request, copying copyBuffers) {
	switch {
	case x.body == nil:
		x.sent.Store(true)
		x.str.Close()
	case req.GetBody != nil && req.ContentLength > 0 && req.ContentLength <= inlineBody:
		x.sendBody(copying)
	default:
		go x.sendBody(copying) // ends with the stream, or when the body is closed
	}
}

func (x *exchange) sendBody(copying copyBuffers) {
	buffer := copying.Get().(*[]byte)
	_, err := io.CopyBuffer(writerOnly{x.str}, x.body, *buffer)
	copying.Put(buffer)
	switch {
	case x.body.failure() != nil:
		x.cancel()
	case err != nil: // the peer wants no more of it, or is gone: the answer tells
		x.str.CancelWrite(codeCanceled)
	default:
		x.sent.Store(true)
		x.str.Close()
	}
	x.body.Close()
}

// writerOnly hides ReadFrom, so that CopyBuffer uses the buffer.
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
		if !b.sent.Load() {
			b.closeBody() // answered in full: the rest of the request is of no use
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
	watched, body := withWatchedBody(req)
	resp, err := w.client.RoundTrip(watched.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err == nil {
		return resp, nil
	}
	closeBody(req)
	if !wrote.Load() {
		return nil, notSent(err)
	}
	return nil, cmp.Or(body.failure(), refusedKind(err))
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
