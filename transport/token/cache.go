package token

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// cacheMost is how many tokens of one half of a cache are remembered.
const cacheMost = 16 << 10

// cache remembers tokens that were found to be good, by their hash, as long as
// the keys stay. It has two halves: when the younger is full the older is
// forgotten. The zero value is empty. Safe for concurrent use.
type cache struct {
	mu       sync.Mutex // guards what follows
	set      *keySet
	new, old map[[sha256.Size]byte]policy.Device
}

func (c *cache) get(set *keySet, raw string, now time.Time) (policy.Device, bool) {
	sum := sha256.Sum256([]byte(raw))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set != set {
		return policy.Device{}, false
	}
	d, ok := c.new[sum]
	if !ok {
		if d, ok = c.old[sum]; ok {
			c.add(sum, d)
		}
	}
	return d, ok && now.Before(d.Until)
}

func (c *cache) put(set *keySet, raw string, d policy.Device) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set != set {
		c.set, c.new, c.old = set, nil, nil
	}
	c.add(sha256.Sum256([]byte(raw)), d)
}

func (c *cache) add(sum [sha256.Size]byte, d policy.Device) {
	if c.new == nil || len(c.new) >= cacheMost {
		c.old, c.new = c.new, map[[sha256.Size]byte]policy.Device{}
	}
	c.new[sum] = d
}
