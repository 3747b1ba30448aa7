package edge

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
)

// headerless keeps the request streams of an HTTP/3 connection whose header has
// not arrived yet. It is told about streams by what the QUIC connection receives
// and sends, and about requests by their handler, in either order: a handler may
// begin before the packet that brought its request is reported.
//
// It is safe for concurrent use.
type headerless struct {
	epoch time.Time // start of the clock
	most  int       // streams a peer may have open at once

	next  atomic.Int64 // lowest stream not seen yet; written with mu held
	count atomic.Int32 // of waiting; written with mu held

	mu      sync.Mutex         // guards what follows
	waiting []headerlessStream // in order of id, and of age
}

type headerlessStream struct {
	id       quic.StreamID
	since    time.Duration
	unwanted bool // the peer wants no answer
}

// opened notes the stream and all below it that were not seen before: opening
// one opens those (RFC 9000 section 3.2).
func (h *headerless) opened(id quic.StreamID) {
	if !isRequestStream(id) || int64(id) < h.next.Load() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open(id)
}

func (h *headerless) open(id quic.StreamID) {
	next := quic.StreamID(h.next.Load())
	if id < next || (id-next)/4 >= quic.StreamID(2*h.most) { // such a jump has ended the connection
		return
	}
	now := time.Since(h.epoch)
	for ; next <= id; next += 4 {
		h.waiting = append(h.waiting, headerlessStream{id: next, since: now})
	}
	h.next.Store(int64(next))
	h.count.Store(int32(len(h.waiting)))
}

// unwanted notes that the peer asks for no answer. QUIC then ends the answer by
// itself, though the header is still waited for.
func (h *headerless) unwanted(id quic.StreamID) {
	h.change(id, func(i int) { h.waiting[i].unwanted = true })
}

// answered notes that this side has ended its answer.
func (h *headerless) answered(id quic.StreamID) {
	h.change(id, func(i int) {
		if !h.waiting[i].unwanted {
			h.forget(i)
		}
	})
}

// over notes that nothing waits for the header any more: it has come, or
// either side has ended the request.
func (h *headerless) over(id quic.StreamID) { h.change(id, h.forget) }

func (h *headerless) forget(i int) {
	h.waiting = slices.Delete(h.waiting, i, i+1)
	h.count.Store(int32(len(h.waiting)))
}

func (h *headerless) change(id quic.StreamID, do func(i int)) {
	if !isRequestStream(id) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open(id)
	for i := range h.waiting {
		if h.waiting[i].id == id {
			do(i)
			return
		}
	}
}

// oldest says since when the stream waits that has waited longest.
func (h *headerless) oldest() (since time.Duration, waits bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.waiting) == 0 {
		return 0, false
	}
	return h.waiting[0].since, true
}

func (h *headerless) any() bool { return h.count.Load() > 0 }

// isRequestStream: bidirectional and opened by the client, RFC 9000 section 2.1.
func isRequestStream(id quic.StreamID) bool { return id >= 0 && id%4 == 0 }
