package authhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// key is a hash of what a device showed.
type key [sha256.Size]byte

// cache remembers verdicts. Those who guess push out other guesses, not devices
// that are let in. Safe for concurrent use.
type cache struct {
	secret            [32]byte // so that it holds nothing that can be guessed at
	accepted, refused *lru.Cache[key, verdict]
}

func newCache(most int) *cache {
	c := &cache{}
	_, _ = rand.Read(c.secret[:]) // never fails (crypto/rand)
	c.accepted, _ = lru.New[key, verdict](most)
	c.refused, _ = lru.New[key, verdict](most) // fails where most is not positive
	return c
}

func (c *cache) sum(shown *Credentials) (sum key) {
	h := hmac.New(sha256.New, c.secret[:])
	for _, text := range []string{shown.Username, shown.Password, shown.Token, shown.ClientID} {
		_ = binary.Write(h, binary.BigEndian, uint64(len(text)))
		_, _ = h.Write([]byte(text))
	}
	h.Sum(sum[:0])
	return sum
}

func (c *cache) get(sum key, now time.Time) (verdict, bool) {
	for _, of := range []*lru.Cache[key, verdict]{c.accepted, c.refused} {
		if v, ok := of.Get(sum); ok && now.Before(v.until) {
			return v, true
		}
	}
	return verdict{}, false
}

func (c *cache) put(sum key, v verdict) {
	into, outOf := c.accepted, c.refused
	if !v.accepted() {
		into, outOf = outOf, into
	}
	outOf.Remove(sum)
	into.Add(sum, v)
}
