package upstream

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// conn is one connection to an instance. It carries one request at a time and
// belongs to the goroutine of that request.
type conn struct {
	client *Client
	addr   string
	nc     net.Conn
	raw    syscall.RawConn // nil: nc has no descriptor
	onWire func(fd uintptr) bool
	wire   wire
	kill   func() // closes nc; for context.AfterFunc

	reused  bool // has carried a request before
	idleGen uint64

	// The exchange in progress.
	in       input
	borrowed *[]byte // of in.buf, from the client's pool
	ctx      context.Context
	stop     func() bool // ends the watch of ctx; nil: ctx cannot end
	up       *upload     // nil: the request is written
	deadline bool        // nc has a read deadline
}

func newConn(c *Client, addr string, nc net.Conn) *conn {
	cn := &conn{client: c, addr: addr, nc: nc}
	cn.kill = func() { nc.Close() }
	cn.in.src = nc
	cn.initWire()
	return cn
}

// begin prepares for a request under ctx.
func (cn *conn) begin(ctx context.Context) {
	cn.borrowed = cn.client.buffers.Get().(*[]byte)
	cn.in.buf, cn.in.r, cn.in.w = *cn.borrowed, 0, 0
	cn.ctx = ctx
	if ctx.Done() != nil {
		cn.stop = context.AfterFunc(ctx, cn.kill)
	}
}

// finish ends the exchange; whole: the answer was read to its end and the
// connection may carry another.
func (cn *conn) finish(whole bool) {
	if cn.stop != nil && !cn.stop() {
		whole = false
	}
	if cn.up != nil && !(cn.up.endsNow(whole) && cn.up.err == nil) {
		whole = false
	}
	if cn.in.r != cn.in.w {
		whole = false
	}
	cn.giveBackBuffer()
	cn.ctx, cn.stop, cn.up = nil, nil, nil
	cn.client.put(cn, whole)
}

func (cn *conn) giveBackBuffer() {
	*cn.borrowed = cn.in.buf
	cn.client.giveBack(cn.borrowed)
	cn.borrowed = nil
	cn.in = input{src: cn.nc}
}

// roundTrip sends out, whose bytes are in buf, and gives the answer's head.
func (cn *conn) roundTrip(ctx context.Context, out *outgoing, buf *[]byte) (*Response, error) {
	cn.begin(ctx)
	written, err := cn.send(out, buf)
	if cn.up == nil {
		cn.client.giveBack(buf)
	}
	if err != nil {
		e := cn.fail("send request", err)
		if e.Kind == ErrBroken && cn.reused && ctx.Err() == nil {
			e.Kind = ErrStale
		}
		e.NotSent = cn.up == nil && written < out.head
		cn.finish(false)
		return nil, e
	}
	h, err := cn.receiveHead(out.req.Method)
	if err != nil {
		e := cn.fail("read response head", err)
		cn.finish(false)
		return nil, e
	}
	return cn.answer(h), nil
}

// send writes the request, or starts the upload of what remains of it, and
// waits for the first bytes of the answer. It returns how many bytes of
// out.bytes went out before an error.
func (cn *conn) send(out *outgoing, buf *[]byte) (written int, err error) {
	if out.body == nil {
		cn.setHeaderTimeout()
	} else {
		cn.clearDeadline()
	}
	written, err = cn.exchange(out.bytes, out.body == nil)
	if err != nil {
		return written, err
	}
	if out.body != nil || written < len(out.bytes) {
		cn.clearDeadline()
		cn.startUpload(out, out.bytes[written:], buf)
	}
	if cn.in.w == 0 {
		err = cn.in.more()
	}
	return written, err
}

// startUpload passes buf, which holds unsent, to the upload's goroutine.
func (cn *conn) startUpload(out *outgoing, unsent []byte, buf *[]byte) {
	cn.up = &upload{
		nc: cn.nc, unsent: unsent, body: out.body, left: out.left, trailer: out.req.Trailer,
		timeout: cn.client.cfg.HeaderTimeout, done: make(chan struct{}),
	}
	go func(up *upload) {
		up.run(*buf)
		cn.client.giveBack(buf)
	}(cn.up)
}

func (cn *conn) setHeaderTimeout() {
	if t := cn.client.cfg.HeaderTimeout; t > 0 {
		cn.nc.SetReadDeadline(time.Now().Add(t))
		cn.deadline = true
	}
}

func (cn *conn) clearDeadline() {
	if cn.deadline {
		cn.nc.SetReadDeadline(time.Time{})
		cn.deadline = false
	}
}

// receiveHead reads heads until a final one.
func (cn *conn) receiveHead(method string) (head, error) {
	for range maxInterim {
		block, err := cn.in.section(cn.client.cfg.MaxHeaderBytes)
		if err != nil {
			return head{}, cut(err)
		}
		h, err := parseHead(string(block), method)
		if err != nil || h.status >= 200 {
			return h, err
		}
		if h.status == 101 {
			return head{}, violation("switches protocols unasked")
		}
	}
	return head{}, violation("too many interim answers")
}

// answer makes the response; its body keeps the connection until its end.
func (cn *conn) answer(h head) *Response {
	a := &answer{
		Response: Response{Status: h.status, Header: h.header, ContentLength: h.length, Trailer: noTrailer},
		body:     body{cn: cn, framed: h.framed, keep: h.keep, left: h.length},
	}
	a.Body = &a.body
	if h.framed == chunked {
		a.body.chunks = chunks{in: &cn.in, maxTrailer: cn.client.cfg.MaxHeaderBytes}
		a.Trailer = a.body.trailers
	}
	if cn.up != nil {
		cn.up.headArrived()
	}
	switch {
	case h.framed == noBody:
		a.body.end(io.EOF, h.keep)
	case h.framed != sized || int64(len(cn.in.buffered())) < h.length:
		cn.clearDeadline()
	}
	return &a.Response
}

func noTrailer() http.Header { return nil }

// fail describes err, which ended the exchange before the answer was complete.
func (cn *conn) fail(op string, err error) *Error {
	e := &Error{Op: op, Addr: cn.addr, Kind: ErrBroken, Err: err}
	if v, ok := err.(violation); ok {
		e.Kind = ErrProtocol
		e.Err = v
		return e
	}
	if cn.ctx.Err() != nil {
		return ended(cn.ctx, op, cn.addr, false)
	}
	if cn.up != nil && cn.up.ended() {
		if b, ok := cn.up.err.(*bodyError); ok {
			e.Kind, e.Op, e.Err = ErrBody, "read request body", b.err
			return e
		}
	}
	if isTimeout(err) {
		e.Kind = ErrTimeout
	}
	return e
}

// ended describes a request whose context ended. The cause stays findable
// beside context.Canceled or DeadlineExceeded.
func ended(ctx context.Context, op, addr string, notSent bool) *Error {
	e := &Error{Op: op, Addr: addr, Kind: ErrBroken, NotSent: notSent, Err: ctx.Err()}
	if e.Err == context.DeadlineExceeded {
		e.Kind = ErrTimeout
	}
	if cause := context.Cause(ctx); cause != e.Err {
		e.Err = fmt.Errorf("%w: %w", e.Err, cause)
	}
	return e
}
