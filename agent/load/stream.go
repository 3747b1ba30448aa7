package load

import (
	"fmt"
	"slices"
	"time"
)

// Extra is load on top of the usual one for a while: a step, or a flood by some.
type Extra struct {
	From, Until time.Duration // since the beginning; Until 0: to the end
	Rate        float64       // requests a second
	Kinds       []string      // names; empty: all, by their weights
	Tenant      string        // only devices of this tenant; empty: of all
	Region      string        // only devices whose home is there; empty: everywhere
}

func (c *Config) checkExtra(e *Extra) error {
	switch {
	case !(e.Rate > 0 && e.Rate <= 1e6):
		return fmt.Errorf("%w: extra rate %g: use more than 0, at most 1000000 a second", ErrConfig, e.Rate)
	case e.From < 0 || e.Until != 0 && e.Until <= e.From:
		return fmt.Errorf("%w: extra load from %s until %s: nothing lies between", ErrConfig, e.From, e.Until)
	case weight(c.some(e.Kinds)) <= 0:
		return fmt.Errorf("%w: extra load: none of the kinds %q has a weight", ErrConfig, e.Kinds)
	case len(c.devicesOf(e)) == 0:
		return fmt.Errorf("%w: extra load: there is no device of tenant %q at edges of region %q", ErrConfig, e.Tenant, e.Region)
	}
	return nil
}

func (c *Config) some(names []string) []Kind {
	var some []Kind
	for _, k := range c.Kinds {
		if len(names) == 0 || slices.Contains(names, k.Name) {
			some = append(some, k)
		}
	}
	return some
}

func (c *Config) devicesOf(e *Extra) []int {
	var some []int
	for n := range c.Devices {
		if (e.Tenant == "" || c.TenantOf(n) == e.Tenant) && (e.Region == "" || c.home(n).Region == e.Region) {
			some = append(some, n)
		}
	}
	return some
}

// home is the edge a device connects to unless it is moved.
func (c *Config) home(device int) *Edge { return &c.Edges[device%len(c.Edges)] }

// TenantOf is the tenant of a device, empty when there are none.
func (c *Config) TenantOf(device int) string {
	if len(c.Tenants) == 0 {
		return ""
	}
	return c.Tenants[device/max(len(c.Edges), 1)%len(c.Tenants)]
}

// stream is requests at one rate for a while.
type stream struct {
	from, until time.Duration // until 0: as long as the context
	rate        float64
	kinds       []*Kind
	devices     []*device
}

// streams are the usual load, then the extra ones.
func (g *generator) streams() []stream {
	all := []stream{{until: g.cfg.Duration, rate: g.cfg.Rate, kinds: g.kinds(nil), devices: g.devices}}
	for n := range g.cfg.Extra {
		e := &g.cfg.Extra[n]
		s := stream{from: e.From, until: e.Until, rate: e.Rate, kinds: g.kinds(e.Kinds)}
		if end := g.cfg.Duration; end > 0 && (s.until == 0 || s.until > end) {
			s.until = end
		}
		for _, device := range g.cfg.devicesOf(e) {
			s.devices = append(s.devices, g.devices[device])
		}
		all = append(all, s)
	}
	return all
}

func (g *generator) kinds(names []string) []*Kind {
	var some []*Kind
	for i := range g.cfg.Kinds {
		k := &g.cfg.Kinds[i]
		if k.Weight > 0 && (len(names) == 0 || slices.Contains(names, k.Name)) {
			some = append(some, k)
		}
	}
	return some
}
