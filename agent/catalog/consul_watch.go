package catalog

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/tidegate/tidegate/policy"
)

func (c *Consul) watch(ctx context.Context, service string) {
	c.poll(ctx, func(q *api.QueryOptions) (*api.QueryMeta, error) {
		if err := checkServiceName(service); err != nil {
			return nil, err
		}
		entries, meta, err := c.list(service, q)
		if err == nil && ctx.Err() == nil {
			c.answered(service, entries, meta)
			c.sayUnsettled(service, c.settleEmpty(ctx, service))
		}
		return meta, err
	}, func(err error) { c.failed(service, err) })
}

// list asks for all instances, not only passing ones: critical must be told
// from gone. A blocking query may be served from a stream, which drops what the
// token may not read without saying so, or goes on as if the token still had its
// rights; so an answer that takes an instance away, and one that brings nothing
// new, is asked for once more without blocking, where Consul says it.
func (c *Consul) list(service string, q *api.QueryOptions) ([]*api.ServiceEntry, *api.QueryMeta, error) {
	entries, meta, err := c.client.Health().Service(service, "", false, q)
	if err != nil || meta.ResultsFilteredByACLs || q.WaitIndex == 0 {
		return entries, meta, err
	}
	if meta.LastIndex != q.WaitIndex && !c.takesAway(service, entries) {
		return entries, meta, nil
	}
	plain := *q
	plain.WaitIndex = 0
	return c.client.Health().Service(service, "", false, &plain)
}

// takesAway says whether a trusted instance is not among entries.
func (c *Consul) takesAway(service string, entries []*api.ServiceEntry) bool {
	listed := make(map[string]bool, len(entries))
	for _, e := range entries {
		if i, ok := instanceOf(service, e); ok {
			listed[i.ID] = true
		}
	}
	for _, i := range c.Snapshot().Services[service] {
		if i.Status != Distrusted && !listed[i.ID] {
			return true
		}
	}
	return false
}

// checkServiceName refuses names that would change the path of the query.
func checkServiceName(name string) error {
	if name == "" || len(name) > 255 || strings.Trim(name, ".") == "" || strings.ContainsAny(name, "/?#%\\\x00") {
		return fmt.Errorf("%w: %q cannot be the name of a Consul service", policy.ErrInvalid, name)
	}
	return nil
}

func (c *Consul) answered(service string, entries []*api.ServiceEntry, meta *api.QueryMeta) {
	listed := c.instances(service, entries)
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.ledger.records[service]
	if r == nil {
		return
	}
	before := r.fault.kind
	r.saw(meta.LastIndex, len(listed))
	changed := c.ledger.answer(service, listed, meta.ResultsFilteredByACLs, time.Now())
	c.sayRecovered(service)
	c.sayDoubt(service, before, r.fault.kind)
	c.publish(c.ledger.snapshot(), changed || before != r.fault.kind)
	if changed {
		poke(c.dirty)
	}
}

func (c *Consul) failed(service string, err error) {
	c.meters.fail("query")
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.ledger.records[service]
	if r == nil {
		return
	}
	if len(c.failing) == 0 {
		c.log.Warn("consul does not answer; keeping what is known", "service", service, "error", err)
	}
	first := !c.failing[service]
	c.failing[service] = true
	c.ledger.fail(service, err)
	c.publish(c.ledger.snapshot(), first)
}

func (c *Consul) sayRecovered(service string) {
	if !c.failing[service] {
		return
	}
	delete(c.failing, service)
	if len(c.failing) == 0 {
		c.log.Info("consul answers again")
	}
}

// sayDoubt logs and counts an answer that is not believed.
func (c *Consul) sayDoubt(service string, before, after error) {
	switch after {
	case ErrEmpty:
		c.meters.fail("empty")
	case ErrFiltered:
		c.meters.fail("filtered")
	}
	if before == after {
		return
	}
	switch {
	case after == ErrEmpty:
		c.log.Error("consul lists no instance of a service that had some; keeping the last known good", "service", service)
	case after == ErrFiltered:
		c.log.Error("consul withheld instances: give the token service:read and node:read; keeping the last known good", "service", service)
	case before == ErrEmpty || before == ErrFiltered:
		c.log.Info("consul lists the service again", "service", service)
	}
}

func (c *Consul) instances(service string, entries []*api.ServiceEntry) []Instance {
	out := make([]Instance, 0, len(entries))
	for _, e := range entries {
		if i, ok := instanceOf(service, e); ok {
			out = append(out, i)
		} else {
			c.meters.fail("address")
		}
	}
	return out
}

// instanceOf reads one entry; not ok: it has no address to send requests to.
func instanceOf(service string, e *api.ServiceEntry) (Instance, bool) {
	if e.Service == nil || e.Node == nil || e.Service.Port == 0 {
		return Instance{}, false
	}
	host := e.Service.Address
	if host == "" {
		host = e.Node.Address
	}
	return Instance{
		ID:      e.Node.Node + "/" + e.Service.ID, // a service's ID is unique on its node only
		Service: service,
		Address: net.JoinHostPort(host, strconv.Itoa(e.Service.Port)),
		Tags:    e.Service.Tags,
		Meta:    e.Service.Meta,
		Status:  statusOf(e.Checks),

		unproven: unproven(e.Checks),
	}, host != ""
}

func statusOf(checks api.HealthChecks) Status {
	switch checks.AggregatedStatus() {
	case api.HealthPassing, api.HealthWarning:
		return Ready
	}
	return Critical // maintenance too
}
