package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// keeper keeps one connection of its kind to one peer, for ever.
type keeper struct {
	mesh   *Mesh
	kind   kind
	peer   Peer
	log    *slog.Logger
	addr   atomic.Pointer[string]
	kick   chan struct{} // the address changed
	cancel context.CancelFunc
	cache  tls.ClientSessionCache
	live   atomic.Pointer[Tunnel] // tunnels only; may have broken

	answers atomic.Uint64 // to probes, or to requests
	heard   uint64        // of those; the pulse loop only

	failures int // dials in a row, QUIC; run only
	tries    int // since a connection last settled; run only
	warned   bool
}

// answered notes that a probe was answered: what a peer sends by itself shows that
// it lives, and not that it can be reached.
func (k *keeper) answered(took time.Duration, now time.Time) {
	k.answers.Add(1)
	k.mesh.metrics.probeAnswered(k.peer.Region, took)
	k.mesh.cfg.Probes.RTT(k.peer, took, now)
}

// answeredSince says whether the peer answered something since this was asked last;
// nil: nobody asks it anything.
func (k *keeper) answeredSince() bool {
	if k == nil {
		return false
	}
	answers := k.answers.Load()
	was := k.heard
	k.heard = answers
	return answers != was
}

func (k *keeper) tunnel() *Tunnel {
	if t := k.live.Load(); t != nil && t.Live() {
		return t
	}
	return nil
}

func (k *keeper) moveTo(addr string) {
	if old := k.addr.Swap(&addr); *old == addr {
		return
	}
	select {
	case k.kick <- struct{}{}:
	default:
	}
}

// connection is what a keeper holds: a wire, watched by the pulse.
type connection struct {
	wire   wire
	addr   string
	tunnel *Tunnel // nil for probes
	since  time.Time
}

// run ends with ctx; a tunnel's last requests may then still be in flight.
func (k *keeper) run(ctx context.Context) {
	var current *connection
	defer func() { k.release(current) }()
	for ctx.Err() == nil {
		fine := k.stands(current)
		next, err := k.dial(ctx, fine)
		if err != nil {
			k.failed(err, fine || ctx.Err() != nil)
			if !fine {
				k.pause(ctx)
				continue
			}
		} else {
			k.release(current)
			current = next
			k.announce(current)
		}
		k.hold(ctx, current)
	}
}

// stands reports whether a connection is up and leads where it should: what
// keeps it from being the last word is that it is not QUIC.
func (k *keeper) stands(c *connection) bool {
	if c == nil || c.addr != *k.addr.Load() || c.tunnel != nil && !c.tunnel.Live() {
		return false
	}
	select {
	case <-c.wire.done():
		return false
	default:
		return true
	}
}

// hold returns when the keeper should dial: the connection is gone or takes no
// new requests, the address changed, or QUIC is to be tried again.
func (k *keeper) hold(ctx context.Context, c *connection) {
	var retry <-chan time.Time
	if c.wire.protocol() == "tcp" {
		timer := time.NewTimer(k.mesh.timing.retryQUIC)
		defer timer.Stop()
		retry = timer.C
	}
	var retiring chan struct{}
	if c.tunnel != nil {
		retiring = c.tunnel.retiring
	}
	select {
	case <-ctx.Done():
		return
	case <-k.kick:
		k.tries = 0
		return
	case <-retry:
		return
	case <-retiring:
	case <-c.wire.done():
	}
	if time.Since(c.since) >= k.mesh.timing.settled {
		k.tries = 0
	}
	k.pause(ctx)
}

// pause is exponential backoff with full jitter. A new address ends it.
func (k *keeper) pause(ctx context.Context) {
	limit := k.mesh.timing.backoffMax
	if shift := min(k.tries, 16); k.mesh.timing.backoffMin<<shift < limit {
		limit = k.mesh.timing.backoffMin << shift
	}
	k.tries++
	timer := time.NewTimer(rand.N(limit))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-k.kick:
		k.tries = 0
	case <-ctx.Done():
	}
}

// failed says so once for every time the peer is lost.
func (k *keeper) failed(err error, fine bool) {
	level := slog.LevelDebug
	if !fine && !k.warned {
		k.warned = true
		level = slog.LevelWarn
	}
	k.log.Log(context.Background(), level, "mesh dial failed, trying on", "addr", *k.addr.Load(), "error", err)
}

// announce lets a new connection be used.
func (k *keeper) announce(c *connection) {
	k.log.Info("mesh connection is up", "addr", c.addr, "protocol", c.wire.protocol(), "probe", k.kind == probeKind)
	k.warned = false
	if c.tunnel != nil {
		k.live.Store(c.tunnel)
	}
}

// release lets go of a connection: a tunnel closes with its last request.
func (k *keeper) release(c *connection) {
	switch {
	case c == nil:
	case c.tunnel != nil:
		c.tunnel.retire()
	default:
		c.wire.close(nil)
	}
}

// adopt makes a connection of a dialled wire: the pulse looks after it, and it
// counts once the peer has shown, by closing ready, that it let us in. On error
// the wire is closed.
func (k *keeper) adopt(ctx context.Context, w wire, chain []*x509.Certificate, ready <-chan struct{}) (*connection, error) {
	c := &connection{wire: w}
	t := &tracked{peer: k.peer, kind: k.kind, chain: chain, wire: w, silence: k.mesh.timing.probeSilence}
	if k.kind == tunnelKind {
		c.tunnel = newTunnel(k.peer, w, &k.mesh.buffers, k.mesh.cfg.Limits.StreamsPerTunnel, &k.answers)
		t.tunnel, t.silence = c.tunnel, k.mesh.timing.silence
	}
	if err := k.mesh.track(t); err != nil {
		w.close(err)
		return nil, err
	}
	k.mesh.wg.Go(func() {
		<-w.done()
		k.mesh.untrack(t)
	})
	select {
	case <-ready:
		return c, nil
	case <-w.done():
		return nil, w.cause()
	case <-ctx.Done():
		w.close(context.Cause(ctx))
		return nil, context.Cause(ctx)
	}
}
