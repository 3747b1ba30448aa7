package edge

import (
	"net/http"
	"time"
)

// smallAnswer is what an HTTP/3 answer, header included, may take to be sent
// without a timer and a deadline: http3 keeps up to 4 KiB until the handler has
// returned, and quic-go up to a packet without waiting for the peer's credit.
const smallAnswer = 1 << 10

// reply is what the exchange knows about its response. Only the handler's
// goroutine uses it.
type reply struct {
	kept bool // HTTP/3, and http3 has sent nothing yet
	size int  // of the body that is kept
	head bool // the header is complete
}

// stays says whether n more bytes are kept, so that writing them cannot block.
func (a *reply) stays(n int) bool {
	a.size += n
	a.kept = a.kept && a.size <= smallAnswer
	return a.kept
}

func (a *reply) leave() { a.kept = false }

func (a *reply) fits(h http.Header) bool {
	if !a.kept {
		return false
	}
	size := a.size
	for name, values := range h {
		for _, value := range values {
			size += len(name) + len(value) + 4
		}
	}
	return size <= smallAnswer
}

// head sets the date on HTTP/3, whose server would format it anew for every
// answer, on a stack that often has to grow for it.
func (x *exchange) head(status int) {
	switch {
	case x.arrive.ProtoMajor != 3 || x.reply.head:
	case status < http.StatusOK:
		x.reply.leave()
	default:
		x.reply.head = true
		x.setDate()
	}
}

func (x *exchange) setDate() {
	h := x.Header()
	if _, set := h["Date"]; !set { // to nil, too: the handler wants none
		h["Date"] = x.s.date()
	}
}

// second is the value of a Date header and when it is right.
type second struct {
	unix  int64
	value []string
}

func (s *Server) date() []string {
	now := s.cfg.Now()
	if d := s.dated.Load(); d != nil && d.unix == now.Unix() {
		return d.value
	}
	return s.dateAnew(now)
}

//go:noinline
func (s *Server) dateAnew(now time.Time) []string {
	d := &second{now.Unix(), []string{now.UTC().Format(http.TimeFormat)}}
	s.dated.Store(d)
	return d.value
}
