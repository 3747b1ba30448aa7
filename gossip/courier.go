package gossip

import (
	"context"
	"sync"
)

const (
	courierWorkers = 8
	maxParcels     = 16_384
)

// courier sends frames over streams, which may block for as long as a stream
// timeout: a few workers, one stream at a time to an agent, and of several
// frames on one topic for one agent only the newest.
type courier struct {
	send func(parcel) // blocks

	mu      sync.Mutex // guards what follows
	ready   *sync.Cond
	closed  bool
	queue   []parcelKey
	parcels map[parcelKey]parcel
	busy    map[string]bool
}

type parcelKey struct{ pool, to, topic string }

type parcel struct {
	pool  *pool
	peer  *poolPeer
	topic string
	frame []byte
}

func (p *parcel) key() parcelKey { return parcelKey{p.pool.name, p.peer.node.Name, p.topic} }

func newCourier(send func(parcel)) *courier {
	c := &courier{send: send, parcels: make(map[parcelKey]parcel), busy: make(map[string]bool)}
	c.ready = sync.NewCond(&c.mu)
	return c
}

// put queues a parcel; false when the queue is full.
func (c *courier) put(p parcel) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := p.key()
	if _, waiting := c.parcels[key]; !waiting {
		if len(c.parcels) >= maxParcels {
			return false
		}
		c.queue = append(c.queue, key)
	}
	c.parcels[key] = p
	c.ready.Signal()
	return true
}

// run works until the context ends.
func (c *courier) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		c.closed = true
		c.mu.Unlock()
		c.ready.Broadcast()
	})
	defer stop()
	var workers sync.WaitGroup
	for range courierWorkers {
		workers.Go(c.work)
	}
	workers.Wait()
}

func (c *courier) work() {
	for {
		p, ok := c.take()
		if !ok {
			return
		}
		c.send(p)
		c.done(p)
	}
}

func (c *courier) take() (parcel, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if c.closed {
			return parcel{}, false
		}
		for i, key := range c.queue {
			if c.busy[key.to] {
				continue
			}
			p := c.parcels[key]
			c.queue = append(c.queue[:i], c.queue[i+1:]...)
			delete(c.parcels, key)
			c.busy[key.to] = true
			return p, true
		}
		c.ready.Wait()
	}
}

func (c *courier) done(p parcel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.busy, p.peer.node.Name)
	c.ready.Broadcast()
}
