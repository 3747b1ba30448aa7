package edge

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidegate/tidegate/transport"
)

// ErrStalled is what reading a request body, or writing a response, fails with
// when the device has kept it waiting for longer than Limits.BodyIdle. The
// right answer to a stalled body is 408.
var ErrStalled = errors.New("the device stopped sending or taking")

// exchange watches one request and its response for stalls. It replaces both
// body and writer; the writer's other abilities are reached by
// http.ResponseController.
//
// A deadline for each read would be simpler, but a deadline that passes between
// reads breaks an HTTP/2 body for good, and costs more. So reads and writes only
// note since when they wait, and one timer looks at that.
type exchange struct {
	http.ResponseWriter
	body   io.ReadCloser
	arrive *http.Request // the server's, which gets the trailers
	handed *http.Request // the handler's, often the same
	s      *Server

	reply reply

	reading, writing atomic.Int64 // since when it waits, on the server's clock; 0: it does not
	stalled, ended   atomic.Bool  // ended: the body was read whole
	watched          atomic.Bool

	mu    sync.Mutex // guards what follows
	timer *time.Timer
	over  bool
}

func newExchange(s *Server, w http.ResponseWriter, arrive, handed *http.Request) *exchange {
	x := &exchange{ResponseWriter: w, s: s, arrive: arrive, handed: handed}
	x.reply.kept = arrive.ProtoMajor == 3
	if arrive.Body != nil && arrive.Body != http.NoBody {
		x.keepArrived()
		x.body = arrive.Body
		x.handed.Body = (*requestBody)(x)
	}
	return x
}

// keepArrived lets the HTTP/1.1 server keep its request as it is: it asks that
// one's body whether the rest was skipped. A rest that was not would be taken for
// the next request.
func (x *exchange) keepArrived() {
	if x.arrive.ProtoMajor == 1 && x.handed == x.arrive {
		shallow := *x.arrive
		x.handed = &shallow
	}
}

// Unwrap is for http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader is the writer's, with the date that net/http's would have set.
func (x *exchange) WriteHeader(status int) {
	x.head(status)
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(b []byte) (int, error) {
	x.head(http.StatusOK)
	if x.reply.stays(len(b)) {
		return x.ResponseWriter.Write(b)
	}
	x.watch(&x.writing)
	n, err := x.ResponseWriter.Write(b)
	return n, x.done(&x.writing, err)
}

// FlushError sends what was written so far.
func (x *exchange) FlushError() error {
	x.head(http.StatusOK)
	x.reply.leave()
	x.watch(&x.writing)
	err := http.NewResponseController(x.ResponseWriter).Flush()
	return x.done(&x.writing, err)
}

// Flush is FlushError for those who ask for an http.Flusher.
func (x *exchange) Flush() { _ = x.FlushError() }

// requestBody is the exchange seen as the request's body.
type requestBody exchange

func (b *requestBody) Read(p []byte) (int, error) {
	x := (*exchange)(b)
	x.watch(&x.reading)
	n, err := x.body.Read(p)
	err = x.done(&x.reading, err)
	if err == io.EOF {
		x.ended.Store(true)
		transport.StripEdge(x.arrive.Trailer)
		x.handed.Trailer = x.arrive.Trailer
	}
	return n, err
}

func (b *requestBody) Close() error { return b.body.Close() }

func (x *exchange) now() int64 { return int64(time.Since(x.s.epoch)) | 1 }

func (x *exchange) watch(since *atomic.Int64) {
	since.Store(x.now())
	if !x.watched.Load() && x.watched.CompareAndSwap(false, true) {
		x.mu.Lock()
		defer x.mu.Unlock()
		if !x.over {
			x.timer = time.AfterFunc(x.s.cfg.Limits.BodyIdle, x.look)
		}
	}
}

func (x *exchange) done(since *atomic.Int64, err error) error {
	since.Store(0)
	if err != nil && err != io.EOF && x.stalled.Load() {
		return ErrStalled
	}
	return err
}

// look ends what waits for too long, else comes back when it could.
func (x *exchange) look() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return
	}
	control := http.NewResponseController(x.ResponseWriter)
	left := x.patience(&x.reading, func() { _ = control.SetReadDeadline(time.Now()) })
	left = min(left, x.patience(&x.writing, func() {
		_ = control.SetReadDeadline(time.Now()) // net/http reads the rest of a body before it writes
		_ = control.SetWriteDeadline(time.Now())
	}))
	x.timer.Reset(left)
}

// patience says how long a wait may still take, and ends one that took too long.
func (x *exchange) patience(since *atomic.Int64, end func()) time.Duration {
	idle := x.s.cfg.Limits.BodyIdle
	start := since.Load()
	if start == 0 {
		return idle
	}
	waited := time.Duration(x.now() - start)
	if waited < idle {
		return max(idle-waited, time.Millisecond)
	}
	if !x.stalled.Swap(true) {
		x.s.metrics.refuse(reasonStalled)
	}
	end()
	return idle
}

// finish ends the watch. What the server still has to do gets BodyIdle too: on
// HTTP/3 to write what it has kept of the answer, on HTTP/1.1 to skip the rest of
// a body; there the server sets its own deadline for the next request.
func (x *exchange) finish() {
	if !x.watched.CompareAndSwap(false, true) {
		x.stopWatch()
	}
	switch {
	case x.stalled.Load():
	case x.arrive.ProtoMajor == 3:
		if !x.reply.fits(x.Header()) {
			x.boundWriting()
		}
	case x.arrive.ProtoMajor == 1 && x.body != nil && !x.ended.Load():
		x.s.boundSkipping(connectionFrom(x.arrive.Context()), x.ResponseWriter)
	}
}

func (x *exchange) stopWatch() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over = true
	if x.timer != nil {
		x.timer.Stop()
	}
}

func (x *exchange) boundWriting() {
	_ = http.NewResponseController(x.ResponseWriter).SetWriteDeadline(time.Now().Add(x.s.cfg.Limits.BodyIdle))
}

// boundSkipping limits how long net/http reads the rest of an HTTP/1.1 body.
// Where that fails the connection must end: net/http does not always see to it.
func (s *Server) boundSkipping(c *connection, w http.ResponseWriter) {
	by := time.Now().Add(s.cfg.Limits.BodyIdle)
	c.skipBy.Store(int64(by.Sub(s.epoch)))
	_ = http.NewResponseController(w).SetReadDeadline(by)
}
