package catalog

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/consul/api"
)

// A blocking query, as Consul's documentation of them tells clients to make it:
// ask from the last index; start again from 0 when the index went back (a
// server was restored or emptied); never ask twice from 0, which would not
// block.

// poll asks for ever until ctx ends. ask makes one query, handles its answer
// and returns its meta; failed hears of errors. After an error the next query
// does not block, so that recovery shows at once.
func (c *Consul) poll(ctx context.Context, ask func(*api.QueryOptions) (*api.QueryMeta, error), failed func(error)) {
	retry := backoff{least: c.set.MinBackoff, most: c.set.MaxBackoff}
	var index uint64
	for ctx.Err() == nil {
		began := time.Now()
		meta, err := c.askFrom(ctx, index, ask)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failed(err)
			index = 0
			pause(ctx, retry.next())
		default:
			retry.reset()
			index = nextIndex(index, meta.LastIndex)
			pause(ctx, c.set.MinPause-time.Since(began))
		}
	}
}

func (c *Consul) askFrom(ctx context.Context, index uint64, ask func(*api.QueryOptions) (*api.QueryMeta, error)) (*api.QueryMeta, error) {
	wait := c.set.waitTime - c.set.waitTime/10 + rand.N(c.set.waitTime/5)
	// A server adds up to wait/16 of its own before it answers.
	ctx, cancel := context.WithTimeout(ctx, wait+wait/16+c.set.Request)
	defer cancel()
	q := &api.QueryOptions{WaitIndex: index, WaitTime: wait}
	return ask(q.WithContext(ctx))
}

func nextIndex(asked, answered uint64) uint64 {
	if answered < asked {
		return 0
	}
	return max(1, answered)
}

// backoff doubles from least to most; each pause is drawn between half of it
// and all of it, so that clients of a restarted server spread.
type backoff struct {
	least, most, now time.Duration
}

func (b *backoff) next() time.Duration {
	b.now = min(max(b.least, 2*b.now), b.most)
	return b.now/2 + rand.N(b.now/2+1)
}

func (b *backoff) reset() { b.now = 0 }

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
