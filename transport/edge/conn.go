package edge

import (
	"context"
	"crypto/x509"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/tidegate/tidegate/policy"
)

// connection is what the edge knows about one device connection.
type connection struct {
	place               // in the gate
	cut     func()      // ends it at once
	unwatch func() bool // QUIC: who serves it sees to its end
	watched bool        // by who serves it, in place of unwatch
	device  atomic.Pointer[policy.Device]
	chain   atomic.Pointer[[]*x509.Certificate] // that the device showed, leaf first
	trusted atomic.Pointer[x509.CertPool]       // the authorities by which that was last found good, or older ones
	shown   atomic.Bool                         // some request of it named its device
	moving  atomic.Bool                         // it has to leave
	framed  atomic.Bool                         // requests came in HTTP/2: what comes between them may be no header
	mqtt    atomic.Bool                         // it speaks MQTT, whose server looks after it
	settled sync.Once                           // the handshake was counted

	active   atomic.Int64  // requests under way
	requests atomic.Uint64 // requests so far
	skipBy   atomic.Int64  // when the rest of an HTTP/1.1 body must have come, on the server's clock; 0: no rest

	// Set when accepted, before it is tracked.
	quic  *quic.Conn
	early atomic.Bool   // it brought early data; set after quic
	http3 *http3.Server // of this connection alone, so that it alone can be told to go; nil: it speaks MQTT

	headers headerless // HTTP/3 only

	// Only the goroutine that looks after the connections uses these.
	at           net.Addr // where the device was
	seenRequests uint64
	busyAt       time.Time
	retired      time.Time // when it was told to go, for a header that did not come
}

type connectionKey struct{}

func connectionFrom(ctx context.Context) *connection {
	c, _ := ctx.Value(connectionKey{}).(*connection)
	return c
}

func (c *connection) begin() {
	c.active.Add(1)
	c.requests.Add(1)
	if c.proto == protoTCP {
		c.skipBy.Store(0)
	}
}

func (c *connection) end() { c.active.Add(-1) }

// quietFor says how long no request was under way or has come.
func (c *connection) quietFor(now time.Time) time.Duration {
	requests := c.requests.Load()
	if c.active.Load() > 0 || requests != c.seenRequests || c.busyAt.IsZero() {
		c.busyAt, c.seenRequests = now, requests
	}
	return now.Sub(c.busyAt)
}

func (s *Server) track(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connections[c] = struct{}{}
}

// join tracks a QUIC connection to be served, unless the edge drains: whoever
// drains it has to know all of them.
func (s *Server) join(c *connection) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.drainingStarted:
		return false
	default:
	}
	s.connections[c] = struct{}{}
	if c.http3 == nil {
		s.streams.Add(1)
	}
	return true
}

// left forgets a connection that has ended.
func (s *Server) left(c *connection) {
	s.gate.leave(&c.place)
	s.untrack(c)
}

func (s *Server) untrack(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.connections, c)
}

// open returns the connections there are.
func (s *Server) open() []*connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.connections))
}

// tracked returns those of HTTP/3, which net/http does not look after.
func (s *Server) tracked() []*connection {
	return slices.DeleteFunc(s.open(), func(c *connection) bool { return c.proto != protoQUIC })
}
