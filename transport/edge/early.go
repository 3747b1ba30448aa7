package edge

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"net/http"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// A request in early data (0-RTT) comes before the device has shown that it is
// there: whoever recorded it could send it again (RFC 8470). So three things
// hold. Of each session ticket early data is taken once, by the one agent that
// issued it. Before the handshake is complete only safe methods are served, and
// the service is told so by Early-Data; all else waits for the handshake, which
// takes one round trip and nothing of the device, where 425 would take a device
// that knows what to do with it. And who the device is comes from the ticket, but
// is verified anew like in any resumed session.

const earlyData = "Early-Data"

// isEarly says that the device has not shown yet that it is there.
func (c *connection) isEarly() bool {
	if !c.early.Load() {
		return false
	}
	select {
	case <-c.quic.HandshakeComplete():
		return false
	default:
		return true
	}
}

// broughtEarlyData says whether a connection may be served as of now.
//
//go:noinline
func broughtEarlyData(conn *quic.Conn) bool {
	state := conn.ConnectionState()
	return state.Used0RTT && state.TLS.NegotiatedProtocol == http3.NextProtoH3
}

// settleEarly says whether to serve a request as early data. Where that may not
// be, it waits until it is none any more.
func (s *Server) settleEarly(c *connection, r *http.Request) (early bool) {
	if !c.isEarly() {
		return false
	}
	if isSafe(r.Method) && r.ContentLength <= 0 {
		s.metrics.early.WithLabelValues(earlyServed).Inc()
		return true
	}
	s.metrics.early.WithLabelValues(earlyHeld).Inc()
	select {
	case <-c.quic.HandshakeComplete():
	case <-r.Context().Done():
		panic(http.ErrAbortHandler) // there is nobody to answer
	}
	r.TLS = quicState(c.quic)
	return false
}

// isSafe: RFC 9110 section 9.2.1, without TRACE.
func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// ticketsKept is how many used tickets are known at least.
const ticketsKept = 1 << 16

// tickets lets every session ticket bring early data once (RFC 8446 section 8.1).
// It holds the tickets that were used in two generations; what it no longer knows
// brings none. Its times are those of the server's clock.
type tickets struct {
	mu           sync.Mutex // guards what follows
	used, before map[[16]byte]struct{}
	began        time.Duration // of used
	knownFrom    time.Duration // tickets issued before may have been forgotten
	kept         int
}

// first says whether a ticket was not used before, and notes that it is now.
func (t *tickets) first(ticket []byte, issued, now time.Duration) bool {
	sum := sha256.Sum256(ticket)
	key := [16]byte(sum[:])
	t.mu.Lock()
	defer t.mu.Unlock()
	_, used := t.used[key]
	_, before := t.before[key]
	if used || before || issued < t.knownFrom {
		return false
	}
	if len(t.used) >= t.kept {
		t.before, t.used, t.knownFrom, t.began = t.used, nil, t.began, now
	}
	if t.used == nil {
		t.used = map[[16]byte]struct{}{}
	}
	t.used[key] = struct{}{}
	return true
}

// issuedPrefix marks what we add to a ticket: when it was issued.
const issuedPrefix = "tidegate issued "

// takeEarlyOnce has the tickets of a configuration bring early data once each.
func (s *Server) takeEarlyOnce(conf *tls.Config) {
	keys := &tls.Config{}
	used := &tickets{kept: ticketsKept}
	conf.WrapSession = func(cs tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		issued := binary.BigEndian.AppendUint64([]byte(issuedPrefix), uint64(time.Since(s.epoch)))
		session.Extra = append(session.Extra, issued)
		return keys.EncryptTicket(cs, session)
	}
	conf.UnwrapSession = func(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		session, err := keys.DecryptTicket(ticket, cs)
		if session != nil && session.EarlyData {
			issued, ok := issuedAt(session)
			session.EarlyData = ok && used.first(ticket, issued, time.Since(s.epoch))
		}
		return session, err
	}
}

func issuedAt(session *tls.SessionState) (time.Duration, bool) {
	for _, extra := range session.Extra {
		if at, ok := bytes.CutPrefix(extra, []byte(issuedPrefix)); ok && len(at) == 8 {
			return time.Duration(binary.BigEndian.Uint64(at)), true
		}
	}
	return 0, false
}
