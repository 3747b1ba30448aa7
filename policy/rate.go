package policy

import (
	"hash/maphash"
	"math"
	"sync"
	"time"
)

// RateRule is a limit on how many messages a second one device may send, or all
// devices that have a property in common.
type RateRule struct {
	By    string  // "id" for each device, else a property; devices without it share one limit
	Rate  float64 // a second
	Burst int     // that may come at once, 1 or more

	name string // of the block and By, so that what was used outlives the policy
}

// Rates holds what was used of the limits, by the generic cell rate algorithm
// (ITU-T I.371, annex A): one moment for each device or property value, of which
// those that lie in the past say nothing and are dropped. The zero value is ready
// for use. Safe for concurrent use.
type Rates struct {
	once   sync.Once
	seed   maphash.Seed
	shards [rateShards]rateShard
}

const (
	rateShards    = 64
	rateKeysLeast = 64 // of a shard, before it is worth while to look for those that say nothing
)

type rateShard struct {
	mu    sync.Mutex // guards what follows
	due   map[rateKey]time.Time
	sweep int // number of keys from which the next sweep pays
}

type rateKey struct{ rule, value string }

// Take uses one message of each rule that concerns a device, or none when one of
// them is used up; wait is then how long it will take until it is not. now may go
// back.
func (r *Rates) Take(now time.Time, rules []RateRule, d *Device) (wait time.Duration) {
	for i := range rules {
		if wait = r.take(now, &rules[i], d); wait > 0 {
			for j := range i {
				r.giveBack(&rules[j], d)
			}
			return wait
		}
	}
	return 0
}

func (r *Rates) take(now time.Time, rule *RateRule, d *Device) (wait time.Duration) {
	key := rule.key(d)
	s := r.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	due := s.due[key]
	if due.Before(now) {
		due = now
	}
	if wait = due.Sub(now) - rule.tolerance(); wait > 0 {
		return wait
	}
	s.makeRoom(now)
	s.due[key] = due.Add(rule.interval())
	return 0
}

func (r *Rates) giveBack(rule *RateRule, d *Device) {
	key := rule.key(d)
	s := r.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if due, ok := s.due[key]; ok {
		s.due[key] = due.Add(-rule.interval())
	}
}

func (r *Rates) shard(key rateKey) *rateShard {
	r.once.Do(func() { r.seed = maphash.MakeSeed() })
	return &r.shards[maphash.Comparable(r.seed, key)%rateShards]
}

// makeRoom drops the keys that say nothing any more, each time there are twice
// as many as were left the last time.
func (s *rateShard) makeRoom(now time.Time) {
	if s.due == nil {
		s.due, s.sweep = map[rateKey]time.Time{}, rateKeysLeast
	}
	if len(s.due) < s.sweep {
		return
	}
	for key, due := range s.due {
		if !due.After(now) {
			delete(s.due, key)
		}
	}
	s.sweep = max(rateKeysLeast, 2*len(s.due))
}

// kept is how many keys there are.
func (r *Rates) kept() (n int) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		n += len(s.due)
		s.mu.Unlock()
	}
	return n
}

func (rule *RateRule) key(d *Device) rateKey { return rateKey{rule.name, d.property(rule.By)} }

func (rule *RateRule) interval() time.Duration {
	return time.Duration(math.Ceil(float64(time.Second) / rule.Rate))
}

func (rule *RateRule) tolerance() time.Duration {
	return time.Duration(rule.Burst-1) * rule.interval()
}
