package catalog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/hashicorp/consul/api"
	"golang.org/x/sync/errgroup"
)

// datacentersAtOnce bounds the datacenters asked at the same time.
const datacentersAtOnce = 16

// Peers implements Catalog: agents registered as ServiceName, whatever their
// check says (gossip knows better who lives), and the retry_join addresses. A
// datacenter that does not answer hides no other.
func (c *Consul) Peers(ctx context.Context) (lan, wan []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.set.Request)
	defer cancel()
	lan, wan, joinErr := resolveJoin(ctx, c.opt)
	here, hereErr := c.agentsOf(ctx, "", metaLAN)
	there, thereErr := c.agentsElsewhere(ctx)
	err = errors.Join(joinErr, hereErr, thereErr)
	if err != nil {
		c.meters.fail("peers")
	}
	return distinct(append(lan, here...)), distinct(append(wan, there...)), err
}

func (c *Consul) agentsElsewhere(ctx context.Context) ([]string, error) {
	all, err := c.datacenters(ctx)
	if err != nil {
		return nil, err
	}
	found, errs := make([][]string, len(all)), make([]error, len(all))
	var group errgroup.Group
	group.SetLimit(datacentersAtOnce)
	for i, dc := range all {
		if dc == c.opt.Region {
			continue
		}
		group.Go(func() error {
			found[i], errs[i] = c.agentsOf(ctx, dc, metaWAN)
			return nil
		})
	}
	group.Wait()
	return slices.Concat(found...), errors.Join(errs...)
}

// agentsOf returns one address of each agent of a datacenter (empty: this
// one's), but not this agent's own.
func (c *Consul) agentsOf(ctx context.Context, dc, which string) ([]string, error) {
	q := &api.QueryOptions{Datacenter: dc, AllowStale: true}
	entries, _, err := c.client.Health().Service(ServiceName, "", false, q.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("find agents of datacenter %q: %w: %w", dc, ErrUnavailable, err)
	}
	self := c.herald.current.Load()
	var out []string
	for _, e := range entries {
		if e.Service == nil || e.Node == nil || dc == "" && self != nil && e.Service.ID == self.reg.ID {
			continue
		}
		if addr, ok := joinAddr(e, which); ok {
			out = append(out, addr)
		}
	}
	return out, nil
}

// joinAddr is an agent's gossip address; one that listens on every address of
// its machine is reached at the service's or the node's.
func joinAddr(e *api.ServiceEntry, which string) (string, bool) {
	host, port, err := net.SplitHostPort(e.Service.Meta[which])
	if err != nil {
		return "", false
	}
	if !unspecified(host) {
		return net.JoinHostPort(host, port), true
	}
	for _, host := range []string{e.Service.Address, e.Node.TaggedAddresses[which], e.Node.Address} {
		if !unspecified(host) {
			return net.JoinHostPort(host, port), true
		}
	}
	return "", false
}

func (c *Consul) datacenters(ctx context.Context) ([]string, error) {
	var names []string
	var q api.QueryOptions
	if _, err := c.client.Raw().Query("/v1/catalog/datacenters", &names, q.WithContext(ctx)); err != nil {
		return nil, fmt.Errorf("list datacenters: %w: %w", ErrUnavailable, err)
	}
	return names, nil
}
