package upstream

import (
	"io"
	"net/http"
)

// MaxReplayable is the largest request body, in bytes, that Do holds in memory
// so that it can be sent in one write with the head, and sent again.
const MaxReplayable = 64 << 10

// Request is one request to an instance.
//
// Do leaves hop-by-hop fields (RFC 9110 section 7.6.1), Expect, Host and
// Content-Length out of Header: framing is its own business.
type Request struct {
	Method     string      // a token of RFC 9110; empty: GET
	RequestURI string      // origin form, escaped, as it goes on the wire: "/path?query"; "*" for OPTIONS
	Host       string      // host[:port]; empty: the address of the instance
	Header     http.Header // canonical keys; read only, may be nil

	// Bytes is the whole body. It wins over Body.
	Bytes []byte
	// Body is the body as a stream; nil, http.NoBody: none. Do never closes it.
	// When an answer ends early, Do's goroutine may still be in Body.Read; that
	// Read must end when the caller's own request ends, as those of net/http's
	// and quic-go's servers do.
	Body io.Reader
	// ContentLength is the length of Body in bytes; -1: unknown. A Body of 1 to
	// MaxReplayable bytes is read whole before a connection is taken, and Do
	// then moves it to Bytes, so that the Request can be given to Do again.
	ContentLength int64
	// Trailer, when not nil and there is a body, is called before the body, for
	// the names to announce, and after it, for the values. It makes the body
	// chunked, which costs a goroutine: leave it nil when none are announced.
	Trailer func() http.Header

	// Repeat says whether the request may be written twice when the first
	// writing may have been processed. Default: by its method.
	Repeat Repeat
}

// Repeat says whether a request may be processed twice.
type Repeat uint8

// The three answers.
const (
	RepeatByMethod Repeat = iota // GET, HEAD, OPTIONS, TRACE, PUT and DELETE may (RFC 9110 section 9.2.2)
	RepeatAlways
	RepeatNever
)

// Response is the final answer (never 1xx) of an instance.
type Response struct {
	Status        int         // 200 to 599
	Header        http.Header // canonical keys, without hop-by-hop fields; owned by the caller
	ContentLength int64       // of Body in bytes; -1: unknown
	// Body is never nil and must be closed. It is for one goroutine at a time;
	// end the context to interrupt a Read: nothing else bounds it. It implements io.WriterTo without a
	// buffer of its own. Read errors are of kind ErrBroken, ErrProtocol, ErrBody
	// or ErrTimeout.
	Body io.ReadCloser
	// Trailer gives the trailer fields once Body returned io.EOF; nil before,
	// and when there were none.
	Trailer func() http.Header
}

// CopyTo writes the rest of the body to w. beforeWait, when not nil, runs before
// each wait for the instance: flush w there, and an answer that arrived whole
// goes out in one piece while one that trickles is never held back. Errors of w
// and of beforeWait are returned as they are.
func (r *Response) CopyTo(w io.Writer, beforeWait func() error) (int64, error) {
	if b, ok := r.Body.(*body); ok {
		return b.copyTo(w, beforeWait)
	}
	return io.Copy(w, r.Body)
}
