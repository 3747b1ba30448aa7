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
	// BeyondGroup lets other groups' regions serve, by RTT, after those of the
	// own group. Only with FailoverNearest. Default false.
	BeyondGroup bool
	Subsets     map[string]*Subset // by name; nil when there are none
}

// FailoverMode says how regions are found when the local one cannot serve.
type FailoverMode uint8

// The modes of failover.
const (
	FailoverNearest FailoverMode = iota // the group's regions by RTT; the default
	FailoverNone                        // never leave the region
	FailoverList                        // exactly Failover.Regions, in that order
)

// String returns the mode as shown to people.
func (m FailoverMode) String() string {
	switch m {
	case FailoverNone:
		return "none"
	case FailoverList:
		return "list"
	}
	return "nearest"
}

// Failover says where requests go when the local region cannot serve.
type Failover struct {
	Mode    FailoverMode
	Regions []string // with FailoverList only; never empty then, no duplicates
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
