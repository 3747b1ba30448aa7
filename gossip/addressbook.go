package gossip

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	maxAddresses     = 4_096
	sampledAddresses = 16
)

// addressBook remembers where agents of a pool were, or were said to be.
// memberlist forgets the dead, so that without it two halves of a pool that
// were apart for long would never meet again.
type addressBook struct {
	mu      sync.Mutex // guards entries
	entries map[string]*address
}

type address struct {
	addr       string
	region     string // when learned
	configured bool
	met        bool      // a member was live there
	seen       time.Time // live, or said to exist
	next       time.Time // earliest attempt
	delay      time.Duration
	trying     bool
}

func newAddressBook() *addressBook { return &addressBook{entries: make(map[string]*address)} }

// configure remembers addresses for ever.
func (b *addressBook) configure(addrs []string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, addr := range addrs {
		e := b.entries[addr]
		if e == nil {
			if !b.makeRoom() {
				return
			}
			e = &address{addr: addr}
			b.entries[addr] = e
		}
		e.configured, e.seen = true, now
	}
}

// sight notes that an address has a live member, or (live false) that one is
// said to be there.
func (b *addressBook) sight(addr, region string, live bool, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[addr]
	if e == nil {
		if !b.makeRoom() {
			return
		}
		e = &address{addr: addr}
		b.entries[addr] = e
	}
	e.region, e.seen = region, now
	if live {
		e.met, e.delay, e.next = true, 0, time.Time{}
	}
}

// makeRoom forgets, when the book is full, the learned address that was seen
// longest ago among a few picked at random (maps are ranged over from a random
// place): looking at all of them for each new one would cost too much.
func (b *addressBook) makeRoom() bool {
	if len(b.entries) < maxAddresses {
		return true
	}
	var oldest *address
	looked := 0
	for _, e := range b.entries {
		if !e.configured && (oldest == nil || e.seen.Before(oldest.seen)) {
			oldest = e
		}
		if looked++; looked == sampledAddresses {
			break
		}
	}
	if oldest == nil {
		return false
	}
	delete(b.entries, oldest.addr)
	return true
}

// due picks up to n addresses to try, those tried longest ago first. skip says
// which need no attempt.
func (b *addressBook) due(n int, now time.Time, skip func(*address) bool) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ready []*address
	for _, e := range b.entries {
		if !e.trying && !now.Before(e.next) && !skip(e) {
			ready = append(ready, e)
		}
	}
	slices.SortFunc(ready, func(x, y *address) int { return cmp.Or(x.next.Compare(y.next), cmp.Compare(x.addr, y.addr)) })
	ready = ready[:min(n, len(ready))]
	addrs := make([]string, len(ready))
	for i, e := range ready {
		e.trying = true
		addrs[i] = e.addr
	}
	return addrs
}

// tried schedules the next attempt: the delay doubles from least to most and is
// spread over ½ to 1½ of itself, so that agents cut off together do not come
// back together.
func (b *addressBook) tried(addr string, now time.Time, least, most time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[addr]
	if e == nil {
		return
	}
	e.trying = false
	e.delay = min(max(2*e.delay, least), most)
	e.next = now.Add(e.delay/2 + rand.N(e.delay))
}

func (b *addressBook) forget(before time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for addr, e := range b.entries {
		if !e.configured && !e.trying && e.seen.Before(before) {
			delete(b.entries, addr)
		}
	}
}
