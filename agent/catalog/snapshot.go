package catalog

import (
	"fmt"
	"time"
)

// Status says whether an instance may be given traffic.
type Status uint8

// The states of an instance.
const (
	Ready      Status = iota // healthy, or warning
	Critical                 // its check fails, or it is in maintenance
	Distrusted               // the source no longer lists it: only when nothing ready is left anywhere
)

// String returns the state as shown in metrics and to people.
func (s Status) String() string {
	switch s {
	case Ready:
		return "ready"
	case Critical:
		return "critical"
	case Distrusted:
		return "distrusted"
	}
	return fmt.Sprintf("status(%d)", uint8(s))
}

// MarshalText returns the state as String does.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Status) UnmarshalText(text []byte) error {
	for _, known := range []Status{Ready, Critical, Distrusted} {
		if string(text) == known.String() {
			*s = known
			return nil
		}
	}
	return fmt.Errorf("unknown instance status %q", text)
}

// Instance is one registered address of a service. Tags and Meta are shared
// between snapshots and must not be changed.
type Instance struct {
	ID      string            `json:"id"` // unique in its service; with Consul "node/service-id"
	Service string            `json:"service"`
	Address string            `json:"address"` // "host:port"
	Tags    []string          `json:"tags,omitempty"`
	Meta    map[string]string `json:"meta,omitempty"`
	Status  Status            `json:"status"`

	unproven bool // critical only for checks that have not run
}

// The values of Snapshot.Source.
const (
	SourceConsul = "consul" // answered at least once since the start
	SourceDisk   = "disk"   // only the last-known-good of an earlier run so far
	SourceStatic = "static" // the agent's own configuration
	SourceNone   = "none"   // nothing known yet
)

// Snapshot is what is known of the followed services at one moment. Immutable.
type Snapshot struct {
	Services map[string][]Instance // by service, sorted by ID; a followed service without instances is present and empty
	Index    uint64                // counts the changes of instances seen since the start; never goes back
	Updated  time.Time             // the oldest "last good answer" among the followed services; zero: none yet
	Source   string                // SourceConsul, SourceDisk, SourceStatic or SourceNone
	Stale    bool                  // at least one service's last answer was missing, empty or filtered
	Err      error                 // why it is stale; kinds ErrUnavailable, ErrEmpty, ErrFiltered
}

// Age is how long ago the source last confirmed the snapshot. A static catalog
// is its own authority: 0. Nothing known yet: 0 too, with Stale set.
// With Consul up and nothing changing it swings between 0 and the wait time.
func (s *Snapshot) Age(now time.Time) time.Duration {
	if s.Source == SourceStatic || s.Updated.IsZero() {
		return 0
	}
	return max(0, now.Sub(s.Updated))
}
