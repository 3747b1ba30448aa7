package catalog

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/consul/api"
)

// KVResult says whether one datacenter took a value.
type KVResult struct {
	Datacenter string
	Err        error // nil: written
}

// WatchKV calls found with the value of key in this region's datacenter, at
// first and after each change, until ctx ends; then it returns nil. A key that
// does not exist gives nil once (an empty value: not nil). While Consul cannot
// be asked nothing is called: the caller keeps what it has. index is the value's
// last change. found runs on WatchKV's goroutine.
func (c *Consul) WatchKV(ctx context.Context, key string, found func(value []byte, index uint64)) error {
	last, first, said := uint64(0), true, outage{}
	c.poll(ctx, func(q *api.QueryOptions) (*api.QueryMeta, error) {
		pair, meta, err := c.client.KV().Get(key, q)
		if err != nil || ctx.Err() != nil {
			return meta, err
		}
		c.sayKVBack(&said, key)
		value, index := valueOf(pair)
		if first || index != last {
			first, last = false, index
			found(value, index)
		}
		return meta, nil
	}, func(err error) { c.sayKVGone(&said, key, err) })
	return nil
}

// WatchKVPrefix is WatchKV for all keys under a prefix. A list from which the
// token's rights remove keys counts as no answer.
func (c *Consul) WatchKVPrefix(ctx context.Context, prefix string, found func(values map[string][]byte, index uint64)) error {
	last, said := "", outage{}
	c.poll(ctx, func(q *api.QueryOptions) (*api.QueryMeta, error) {
		pairs, meta, err := c.client.KV().List(prefix, q)
		if err == nil && meta.ResultsFilteredByACLs {
			err = fmt.Errorf("list keys under %q: %w", prefix, ErrFiltered)
		}
		if err != nil || ctx.Err() != nil {
			return meta, err
		}
		c.sayKVBack(&said, prefix)
		if state := stateOf(pairs); state != last {
			last = state
			found(valuesOf(pairs))
		}
		return meta, nil
	}, func(err error) { c.sayKVGone(&said, prefix, err) })
	return nil
}

// outage remembers that one was said.
type outage struct{ said bool }

func (c *Consul) sayKVGone(o *outage, key string, err error) {
	c.meters.fail("kv")
	if !o.said {
		c.log.Warn("consul does not answer for a key; keeping what is known", "key", key, "error", err)
	}
	o.said = true
}

func (c *Consul) sayKVBack(o *outage, key string) {
	if o.said {
		c.log.Info("consul answers for the key again", "key", key)
	}
	o.said = false
}

func valueOf(pair *api.KVPair) ([]byte, uint64) {
	if pair == nil {
		return nil, 0
	}
	if pair.Value == nil {
		return []byte{}, pair.ModifyIndex
	}
	return pair.Value, pair.ModifyIndex
}

// stateOf is equal for equal lists of keys and their last changes.
func stateOf(pairs api.KVPairs) string {
	var b strings.Builder
	b.WriteString("listed")
	for _, p := range pairs {
		fmt.Fprintf(&b, "\x00%s\x00%d", p.Key, p.ModifyIndex)
	}
	return b.String()
}

func valuesOf(pairs api.KVPairs) (values map[string][]byte, index uint64) {
	values = make(map[string][]byte, len(pairs))
	for _, p := range pairs {
		value, modified := valueOf(p)
		values[p.Key] = value
		index = max(index, modified)
	}
	return values, index
}

// GetKV returns the value of key in a datacenter (empty: this region's) and the
// index of its last change; nil when there is no such key.
func (c *Consul) GetKV(ctx context.Context, key, datacenter string) (value []byte, index uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.set.Request)
	defer cancel()
	q := &api.QueryOptions{Datacenter: datacenter}
	pair, _, err := c.client.KV().Get(key, q.WithContext(ctx))
	if err != nil {
		return nil, 0, fmt.Errorf("read key %q in datacenter %q: %w: %w", key, datacenter, ErrUnavailable, err)
	}
	value, index = valueOf(pair)
	return value, index, nil
}

// PutAll writes key in every datacenter Consul knows, and in those named, all
// at the same time, each within Timing.Request. It returns one result each,
// sorted by datacenter: those with an error are the stragglers. The error is
// set when the datacenters could not be listed; what was named is then tried.
func (c *Consul) PutAll(ctx context.Context, key string, value []byte, datacenters ...string) ([]KVResult, error) {
	ctx, cancel := context.WithTimeout(ctx, c.set.Request)
	defer cancel()
	listed, err := c.datacenters(ctx)
	all := slices.Concat(listed, datacenters)
	slices.Sort(all)
	all = slices.Compact(all)
	results := make([]KVResult, len(all))
	var wg sync.WaitGroup
	for i, dc := range all {
		wg.Go(func() { results[i] = KVResult{dc, c.put(ctx, key, value, dc)} })
	}
	wg.Wait()
	if err != nil {
		err = fmt.Errorf("write key %q everywhere: %w", key, err)
	}
	return results, err
}

// putTries bounds the writes of a key in one datacenter. After a server was
// restarted, the first request that another server forwards to it fails: it
// goes over a connection that is dead.
const putTries = 3

func (c *Consul) put(ctx context.Context, key string, value []byte, dc string) error {
	retry := backoff{least: c.set.MinPause, most: c.set.MinBackoff}
	err := c.putOnce(ctx, key, value, dc)
	for tries := 1; err != nil && tries < putTries && ctx.Err() == nil && mayPass(err); tries++ {
		pause(ctx, retry.next())
		err = c.putOnce(ctx, key, value, dc)
	}
	if err == nil {
		return nil
	}
	c.meters.fail("kv")
	if statusCode(err) == 0 || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("write key %q in datacenter %q: %w: %w", key, dc, ErrUnavailable, err)
	}
	return fmt.Errorf("write key %q in datacenter %q: %w", key, dc, err)
}

func (c *Consul) putOnce(ctx context.Context, key string, value []byte, dc string) error {
	q := &api.WriteOptions{Datacenter: dc}
	_, err := c.client.KV().Put(&api.KVPair{Key: key, Value: value}, q.WithContext(ctx))
	return err
}

// mayPass says whether a refusal is the server's trouble rather than ours.
func mayPass(err error) bool {
	code := statusCode(err)
	return code == 0 || code >= http.StatusInternalServerError
}
