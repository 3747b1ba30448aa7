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
