package policy

import (
	"slices"
	"time"
)

// DefaultTimeout is how long a request to a service may take when neither the
// route nor the service says otherwise.
const DefaultTimeout = 10 * time.Second

// Service is what a policy says of one service of the catalog.
type Service struct {
	Name     string
	Timeout  time.Duration // whole request; default DefaultTimeout
	Failover Failover
	Subsets  map[string]*Subset // by name; nil when there are none
	// InFlight is the hard limit of requests in flight for each ready instance,
	// shared by the agents of a region: 1 to MaxInFlight, 0 for none. The
	// adaptive limit works below it.
	InFlight int
	// Fixed turns the adaptive limit off: nothing is refused for latency.
	Fixed bool
	Quota QuotaRule
}

// QuotaRule gives each tenant a share of what a service can take at once, so
// that the flood of one does not crowd out the others: what a tenant has in
// flight beyond it ranks below everything that is within a quota. The zero
// value is no quota.
type QuotaRule struct {
	By    string  // the device's property that names the tenant; "id": the device itself
	Share float64 // of the limit in flight, 0.01 to 1; 0: no quota
}

// Tenant names whose quota a message of d counts against. Devices without the
// property share one, as do local services.
func (q QuotaRule) Tenant(d *Device) string {
	return d.property(q.By)
}

// Subset is the part of a service whose instances carry every one of Tags and
// every pair of Meta. At least one of the two is given.
type Subset struct {
	Name string
	Tags []string
	Meta map[string]string
}

// Matches tells whether an instance with these Consul tags and metadata
// belongs to the subset. Comparison is exact.
func (s *Subset) Matches(tags []string, meta map[string]string) bool {
	for _, want := range s.Tags {
		if !slices.Contains(tags, want) {
			return false
		}
	}
	for key, want := range s.Meta {
		if have, ok := meta[key]; !ok || have != want {
			return false
		}
	}
	return true
}
