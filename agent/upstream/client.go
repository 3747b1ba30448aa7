// Package upstream is a streaming HTTP/1.1 client (RFC 9112) for the instances
// of services. It spends little: one write and, when the answer is short, one
// read a request, no goroutine unless a long body is being sent, no timer for
// what the context already watches.
package upstream

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Config bounds a Client. The zero value of a field means its default.
type Config struct {
	// MaxIdlePerInstance is how many connections of an instance that were not
	// needed for a second are kept: default 64.
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

const (
	bufferSize      = 16 << 10
	maxPooledBuffer = 128 << 10
	maxInterim      = 8 // 1xx answers before a final one
)

// Client sends requests to instances and keeps their connections. It is safe
// for concurrent use.
type Client struct {
	cfg            Config
	buffers        sync.Pool // of *[]byte, bufferSize to maxPooledBuffer
	stale, retried atomic.Uint64
	period         time.Duration // between sweeps

	mu     sync.Mutex // guards what follows
	pools  map[string]*pool
	gen    uint64 // sweeps so far
	sweep  *time.Timer
	dialed uint64
	closed bool
}

// New makes a Client. Close it to release its connections.
func New(cfg Config) *Client {
	defaultTo(&cfg.MaxIdlePerInstance, 64)
	defaultTo(&cfg.MaxPerInstance, 512)
	defaultTo(&cfg.IdleTimeout, 60*time.Second)
	defaultTo(&cfg.DialTimeout, time.Second)
	defaultTo(&cfg.MaxHeaderBytes, 64<<10)
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{}).DialContext
	}
	c := &Client{cfg: cfg, pools: map[string]*pool{}, period: min(time.Second, cfg.IdleTimeout/2)}
	c.buffers.New = func() any { b := make([]byte, bufferSize); return &b }
	return c
}

func defaultTo[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// Do sends req to the instance at addr ("host:port") and returns its answer as
// soon as the head has arrived; the body of either may still be on its way.
// Status codes are not errors. When ctx ends, before or after Do returned, the
// connection is closed at once, which tells the instance.
//
// A kept connection that turns out closed is replaced once, silently, when
// nothing can have been processed or the request is idempotent and replayable.
// Nothing else is retried.
//
// Errors are *Error; see its kinds.
func (c *Client) Do(ctx context.Context, addr string, req *Request) (*Response, error) {
	if ctx.Err() != nil {
		return nil, ended(ctx, "send request", addr, true)
	}
	resp, err := c.attempt(ctx, addr, req, false)
	if err != nil && errors.Is(err, ErrStale) {
		c.stale.Add(1)
		if req.mayRepeat(err) {
			c.retried.Add(1)
			return c.attempt(ctx, addr, req, true)
		}
	}
	return resp, err
}

func (c *Client) attempt(ctx context.Context, addr string, req *Request, fresh bool) (*Response, error) {
	buf := c.buffers.Get().(*[]byte)
	out, err := prepare(buf, req, addr)
	if err != nil {
		c.giveBack(buf)
		return nil, err
	}
	cn, err := c.take(ctx, addr, fresh)
	if err != nil {
		c.giveBack(buf)
		return nil, err
	}
	return cn.roundTrip(ctx, &out, buf)
}

func (c *Client) giveBack(buf *[]byte) {
	if cap(*buf) <= maxPooledBuffer {
		c.buffers.Put(buf)
	}
}

// Close closes unused connections at once, and used ones when their answer
// ends; end their contexts to hurry them. Do fails with ErrClosed from now on.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.sweep != nil {
		c.sweep.Stop()
	}
	for addr, p := range c.pools {
		if c.drop(p, len(p.idle)); p.open == 0 {
			delete(c.pools, addr)
		}
	}
}
