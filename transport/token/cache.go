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
	new, old map[[sha256.Size]byte]known
}

type known struct {
	device policy.Device
	until  time.Time
}

func (c *cache) get(set *keySet, raw string, now time.Time) (policy.Device, bool) {
	sum := sha256.Sum256([]byte(raw))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set != set {
		return policy.Device{}, false
	}
	k, ok := c.new[sum]
	if !ok {
		if k, ok = c.old[sum]; ok {
			c.add(sum, k)
		}
	}
	return k.device, ok && now.Before(k.until)
}

func (c *cache) put(set *keySet, raw string, d policy.Device, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set != set {
		c.set, c.new, c.old = set, nil, nil
	}
	c.add(sha256.Sum256([]byte(raw)), known{d, until})
}

func (c *cache) add(sum [sha256.Size]byte, k known) {
	if c.new == nil || len(c.new) >= cacheMost {
		c.old, c.new = c.new, map[[sha256.Size]byte]known{}
	}
	c.new[sum] = k
}
