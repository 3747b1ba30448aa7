package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// Tunnel is one live connection to a peer. A Tunnel that broke stays broken;
// Mesh.Tunnel returns its successor. Safe for concurrent use.
type Tunnel struct {
	peer     Peer
	wire     wire
	copying  copyBuffers
	limit    int64
	inFlight atomic.Int64
	answers  *atomic.Uint64 // to requests
	retired  atomic.Bool
	retiring chan struct{} // closed when retired
}

func newTunnel(peer Peer, w wire, copying copyBuffers, limit int, answers *atomic.Uint64) *Tunnel {
	return &Tunnel{peer: peer, wire: w, copying: copying, limit: int64(limit), answers: answers, retiring: make(chan struct{})}
}

// Peer returns who is at the other end.
func (t *Tunnel) Peer() Peer { return t.peer }

// Protocol returns "quic", or "tcp" where UDP is blocked.
func (t *Tunnel) Protocol() string { return t.wire.protocol() }

// Live reports whether new requests may be sent.
func (t *Tunnel) Live() bool {
	select {
	case <-t.wire.done():
		return false
	default:
		return !t.retired.Load()
	}
}

// InFlight returns the requests whose response body is not read to its end or
// closed yet.
func (t *Tunnel) InFlight() int { return int(t.inFlight.Load()) }

// RTT returns the smoothed round-trip time, 0 when not measured.
func (t *Tunnel) RTT() time.Duration { return t.wire.rtt() }

// RoundTrip sends one request; URL.Scheme must be "https", URL.Host may be
// anything. Bodies stream both ways, trailers too: those of a request are its
// Trailer, which must be non-empty when RoundTrip is called and filled in
// before the body ends. A body of up to 64 KiB that GetBody can give again is
// taken to be in memory and written before the answer is awaited.
//
// It follows the contract of http.RoundTripper; the response body must be
// closed. Errors are of kind ErrNotSent or ErrTunnelLost, unless the request's
// context ended first (its cause) or the request body could not be read. Errors
// from reading the response body are of kind ErrTunnelLost, or the context's.
func (t *Tunnel) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.begin(); err != nil {
		closeBody(req)
		return nil, err
	}
	resp, err := t.wire.roundTrip(req, t.copying)
	if err != nil {
		t.end()
		return nil, t.explain(req.Context(), err)
	}
	t.answers.Add(1)
	resp.Body = &tunnelBody{ReadCloser: resp.Body, tunnel: t, ctx: req.Context()}
	return resp, nil
}

func (t *Tunnel) begin() error {
	n := t.inFlight.Add(1)
	if t.Live() && n <= t.limit {
		return nil
	}
	t.end()
	if n > t.limit {
		return fmt.Errorf("tunnel to %s: %w: %d requests in flight", t.peer, ErrNotSent, n-1)
	}
	return fmt.Errorf("tunnel to %s: %w: it takes no new requests", t.peer, ErrNotSent)
}

func (t *Tunnel) end() {
	if t.inFlight.Add(-1) == 0 && t.retired.Load() {
		t.wire.close(nil)
	}
}

// explain gives an error its kind.
func (t *Tunnel) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, errRequestBody) {
		return err
	}
	if errors.Is(err, ErrNotSent) {
		if t.wire.refusing() {
			t.retire()
		}
		return fmt.Errorf("tunnel to %s: %w", t.peer, err)
	}
	return fmt.Errorf("tunnel to %s: %w: %w", t.peer, ErrTunnelLost, err)
}

// retire ends new requests; the connection closes with the last one in flight.
func (t *Tunnel) retire() {
	if t.retired.CompareAndSwap(false, true) {
		close(t.retiring)
	}
	if t.inFlight.Load() == 0 {
		t.wire.close(nil)
	}
}

type tunnelBody struct {
	io.ReadCloser
	tunnel *Tunnel
	ctx    context.Context
	ended  atomic.Bool // Close may come from another goroutine than Read
}

func (b *tunnelBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || err == io.EOF {
		if err == io.EOF {
			b.end()
		}
		return n, err
	}
	b.end()
	return n, b.tunnel.explain(b.ctx, err)
}

func (b *tunnelBody) Close() error {
	err := b.ReadCloser.Close()
	b.end()
	return err
}

func (b *tunnelBody) end() {
	if b.ended.CompareAndSwap(false, true) {
		b.tunnel.end()
	}
}
