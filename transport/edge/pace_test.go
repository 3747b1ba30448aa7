package edge

import (
	"testing"
	"time"
)

// What the gate lets in at once is not computed at once: the fifth of a burst waits
// for its turn, whatever certificate is asked for.
func TestTheCryptographyOfABurstIsPaced(t *testing.T) {
	const perSecond, burst = 20, 5
	for _, auth := range []ClientAuth{None, Optional} {
		b := newBench(t, overloaded, func(c *Config) { c.ClientAuth, c.Limits.HandshakeRate = auth, perSecond })
		began := time.Now()
		for range burst {
			b.raw(t)
		}
		if took, least := time.Since(began), (burst-2)*time.Second/perSecond; took < least {
			t.Errorf("client authentication %d: %d handshakes within %s, want %s at least", auth, burst, took, least)
		}
	}
}
