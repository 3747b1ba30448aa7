package catalog

import (
	"context"
	"slices"
	"time"

	"github.com/hashicorp/consul/api"
)

// A service whose last instance was taken away on purpose and one that a
// broken Consul no longer knows look the same: an empty answer. It is believed
// after ConsulConfig.DistrustFor, once all of this holds:
//
//   - Consul's index did not go back since it last listed an instance: no server
//     was emptied or restored;
//   - a read by all of the cluster's word (consistent, not blocking) is empty
//     too, and nothing was withheld from the token;
//   - in the same way Consul still lists this agent's own registration.

// saw notes at which index Consul listed a service's instances, or none.
func (r *record) saw(index uint64, instances int) {
	switch {
	case instances > 0:
		r.index, r.restored = index, false
	case index < r.index:
		r.restored = true
	}
}

// mayBeGone says that the service has been empty for so long that it is worth
// asking whether it is gone.
func (r *record) mayBeGone(now time.Time, distrustFor time.Duration) bool {
	return !r.emptied.IsZero() && now.Sub(r.emptied) >= distrustFor && r.index > 0 && !r.restored
}

// clear forgets the instances of a service that is confirmed to have none.
func (l *ledger) clear(service string, now time.Time) bool {
	r := l.records[service]
	if r == nil || r.emptied.IsZero() {
		return false
	}
	clear(r.instances)
	clear(r.absent)
	clear(r.doubted)
	r.emptied, r.fault, r.updated = time.Time{}, fault{}, now
	r.sort()
	l.index++
	return true
}

// settleEmpty forgets the service's instances if it has none for good.
func (c *Consul) settleEmpty(ctx context.Context, service string) error {
	index, due := c.emptyAt(service)
	if !due {
		return nil
	}
	if gone, err := c.isGone(ctx, service, index); err != nil || !gone {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ledger.clear(service, time.Now()) {
		c.log.Info("consul confirms that the service has no instances left", "service", service)
		c.publish(c.ledger.snapshot(), true)
		poke(c.dirty)
	}
	return nil
}

func (c *Consul) sayUnsettled(service string, err error) {
	if err != nil {
		c.meters.fail("query")
		c.log.Debug("not asked whether a service is gone", "service", service, "error", err)
	}
}

// emptyAt gives the index at which instances were last listed, if it is time to
// ask whether they are gone.
func (c *Consul) emptyAt(service string) (index uint64, due bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.ledger.records[service]
	if r == nil || !r.mayBeGone(time.Now(), c.set.distrustFor) {
		return 0, false
	}
	return r.index, true
}

func (c *Consul) isGone(ctx context.Context, service string, since uint64) (bool, error) {
	own := c.herald.current.Load()
	if own == nil {
		return false, nil
	}
	listed, meta, err := c.ask(ctx, service)
	if err != nil || len(listed) > 0 || meta.ResultsFilteredByACLs || meta.LastIndex < since {
		return false, err
	}
	agents, _, err := c.ask(ctx, ServiceName)
	return slices.ContainsFunc(agents, func(e *api.ServiceEntry) bool {
		return e.Service != nil && e.Service.ID == own.reg.ID
	}), err
}

func (c *Consul) ask(ctx context.Context, service string) ([]*api.ServiceEntry, *api.QueryMeta, error) {
	ctx, cancel := context.WithTimeout(ctx, c.set.Request)
	defer cancel()
	q := &api.QueryOptions{RequireConsistent: true}
	return c.client.Health().Service(service, "", false, q.WithContext(ctx))
}
