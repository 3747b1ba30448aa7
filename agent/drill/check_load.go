package drill

import (
	"regexp"
	"slices"
	"time"

	"github.com/tidegate/tidegate/agent/dev"
	"github.com/tidegate/tidegate/agent/load"
	"github.com/tidegate/tidegate/policy"
)

// ways are how devices send, by the word for it.
var ways = map[string]string{"": load.OverHTTP3, "quic": load.OverMQTTQUIC, "tls": load.OverMQTTTLS}

var tenantName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,62}$`)

func (c checker) meshOf(b *meshBlock) error {
	if b == nil {
		return nil
	}
	c.policy = b.Policy
	c.mesh = dev.Config{Regions: b.Regions, Agents: b.Agents, Capacity: b.Capacity}
	for _, s := range b.Services {
		c.mesh.Services = append(c.mesh.Services, dev.Service{Name: s.Name, Regions: s.Regions, Instances: s.Instances, Capacity: s.Capacity})
	}
	if b.Latency != "" {
		var err error
		if c.mesh.Latency, err = parseDuration(b.Latency, time.Millisecond, time.Minute); err != nil {
			return c.invalid(where(b.Body, b.Place, "latency"), "latency %v", err)
		}
	}
	if err := c.mesh.Check(); err != nil {
		return c.invalid(b.Place, "%v", err)
	}
	return nil
}

// trafficOf reads what the mesh is judged by: a load, or what it has by itself.
func (c checker) trafficOf(b *drillBlock) error {
	c.Observe = b.Observe != nil
	switch {
	case b.Load != nil && c.Observe:
		return c.invalid(b.Observe.Place, "observe beside a load: say one of them")
	case c.Observe:
		return c.steadyOf(b.Steady)
	case b.Load == nil:
		return c.invalid(b.Place, "neither load nor observe: say who sends")
	}
	if err := c.timesOf(b.Load); err != nil {
		return err
	}
	c.Load.Rate = b.Load.Rate
	if err := c.steadyOf(b.Steady); err != nil {
		return err
	}
	return c.loadOf(b.Load)
}

func (c checker) loadOf(b *loadBlock) error {
	span := c.lead() + c.Duration
	if !(b.Rate > 0 && b.Rate <= maxRate) || b.Rate*span.Seconds() > maxRequests {
		return c.invalid(where(b.Body, b.Place, "rate"), "rate %g: use more than 0 and at most %d a second, %d requests in all", b.Rate, maxRate, maxRequests)
	}
	if b.Devices < 1 || b.Devices > maxDevices {
		return c.invalid(where(b.Body, b.Place, "devices"), "%d devices: use 1 to %d", b.Devices, maxDevices)
	}
	if err := c.tenantsOf(b); err != nil {
		return err
	}
	over, known := ways[b.MQTT]
	if !known {
		return c.invalid(where(b.Body, b.Place, "mqtt"), "mqtt %q: use quic or tls", b.MQTT)
	}
	c.Load.Devices, c.Load.Duration, c.Load.Over = b.Devices, span, over
	total := 0
	for n := range b.Kinds {
		if err := c.addKind(&b.Kinds[n]); err != nil {
			return err
		}
		total += b.Kinds[n].Weight
	}
	if total == 0 {
		return c.invalid(b.Place, "no kind of message has a weight")
	}
	return nil
}

// timesOf reads the durations of a load.
func (c checker) timesOf(b *loadBlock) (err error) {
	if b.WarmUp != "" {
		if c.warmUp, err = parseDuration(b.WarmUp, 0, maxWarmUp); err != nil {
			return c.invalid(where(b.Body, b.Place, "warm_up"), "warm_up %v", err)
		}
	}
	if b.Deadline != "" {
		if c.Load.Deadline, err = parseDuration(b.Deadline, time.Millisecond, time.Minute); err != nil {
			return c.invalid(where(b.Body, b.Place, "deadline"), "deadline %v", err)
		}
	}
	r := b.Retry
	if r == nil {
		return nil
	}
	if r.Attempts < 2 || r.Attempts > maxAttempts {
		return c.invalid(where(r.Body, r.Place, "attempts"), "attempts %d: use 2 to %d", r.Attempts, maxAttempts)
	}
	c.Load.Retry = load.Retry{Attempts: r.Attempts, Hasty: r.Hasty}
	if r.Pause != "" {
		if c.Load.Retry.Pause, err = parseDuration(r.Pause, time.Millisecond, time.Minute); err != nil {
			return c.invalid(where(r.Body, r.Place, "pause"), "pause %v", err)
		}
	}
	return nil
}

func (c checker) tenantsOf(b *loadBlock) error {
	at := where(b.Body, b.Place, "tenants")
	for n, tenant := range b.Tenants {
		switch {
		case !tenantName.MatchString(tenant):
			return c.invalid(at, "tenant %q: use letters, digits and dashes", tenant)
		case slices.Contains(b.Tenants[:n], tenant):
			return c.invalid(at, "tenant %q is there twice", tenant)
		}
	}
	c.Load.Tenants = b.Tenants
	return nil
}

func (c checker) addKind(b *kindBlock) error {
	class, err := policy.ParseClass(b.Class)
	if err != nil {
		return c.invalid(b.Place, "kind %q: %v", b.Name, err)
	}
	switch {
	case c.hasKind(b.Name):
		return c.invalid(b.Place, "two kinds are called %q", b.Name)
	case b.Weight < 0 || b.Weight > 1000:
		return c.invalid(b.Place, "kind %q: weight %d: use 0 to 1000", b.Name, b.Weight)
	case b.Body < 0 || b.Body > 1<<20:
		return c.invalid(b.Place, "kind %q: body of %d bytes: use 0 to %d", b.Name, b.Body, 1<<20)
	case len(b.Path) == 0 || b.Path[0] != '/':
		return c.invalid(b.Place, "kind %q: path %q does not begin with \"/\"", b.Name, b.Path)
	}
	method := b.Method
	if method == "" {
		method = "POST"
	}
	c.Load.Kinds = append(c.Load.Kinds, load.Kind{Name: b.Name, Class: class, Method: method, Path: b.Path, Body: b.Body, Weight: b.Weight})
	return nil
}

func (d *Drill) hasKind(name string) bool {
	for _, k := range d.Load.Kinds {
		if k.Name == name {
			return true
		}
	}
	return false
}
