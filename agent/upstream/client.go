// Package upstream is a streaming HTTP/1.1 client (RFC 9112) for the instances
// of services. It spends little: one write and, when the answer is short, one
// read a request, no goroutine unless a long body is being sent, no timer for
// what the context already watches.
package upstream

import (
	"context"
	"net"
	"time"
)

// Config bounds a Client. The zero value of a field means its default.
type Config struct {
	// MaxIdlePerInstance is how many unused connections an instance keeps: default 64.
	MaxIdlePerInstance int
	// MaxPerInstance is how many connections an instance may have: default 512.
	// Do refuses at once with ErrBusy beyond it.
	MaxPerInstance int
	// IdleTimeout closes a connection unused for that long: default 60 s.
	IdleTimeout time.Duration
	// DialTimeout bounds making a connection: default 1 s.
	DialTimeout time.Duration
	// HeaderTimeout bounds the wait from the end of the request to the end of
	// the response head: default 0, none but the context.
	HeaderTimeout time.Duration
	// MaxHeaderBytes bounds a response head, and the trailer section: default 64 KiB.
	MaxHeaderBytes int
	// Dial replaces net.Dialer; for tests and for sockets that need options.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Client sends requests to instances and keeps their connections. It is safe
// for concurrent use.
type Client struct {
	cfg Config
}

// New makes a Client. Close it to release its connections.
func New(cfg Config) *Client {
	return &Client{cfg: cfg}
}

// Do sends req to the instance at addr ("host:port") and returns its answer as
// soon as the head has arrived; the body of either may still be on its way.
// Status codes are not errors. When ctx ends, before or after Do returned, the
// connection is closed at once, which tells the instance.
//
// A kept connection that turns out closed is replaced once, silently, when
// nothing can have been processed or the request is idempotent and replayable.
//
// Errors are *Error; see its kinds. No request is retried otherwise.
func (c *Client) Do(ctx context.Context, addr string, req *Request) (*Response, error) {
	return nil, &Error{Op: "send request", Addr: addr, Kind: ErrClosed, NotSent: true}
}

// Close closes unused connections at once and used ones when their answer ends.
func (c *Client) Close() {}
