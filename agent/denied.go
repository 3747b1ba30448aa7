package agent

import (
	"sync/atomic"

	"github.com/tidegate/tidegate/transport"
)

// denyList is the peers that are refused although their certificate is good:
// "REGION" or "REGION/AGENT". It may be replaced at any time; the zero value is
// empty. Safe for concurrent use.
type denyList struct {
	entries atomic.Pointer[map[string]bool]
}

func (d *denyList) set(entries []string) {
	set := make(map[string]bool, len(entries))
	for _, entry := range entries {
		set[entry] = true
	}
	d.entries.Store(&set)
}

func (d *denyList) has(p transport.Peer) bool {
	set := d.entries.Load()
	return set != nil && len(*set) > 0 && ((*set)[p.Region] || (*set)[p.Region+"/"+p.Agent])
}
