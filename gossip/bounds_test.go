package gossip

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestStrangersCannotGrowTheCertificateStore(t *testing.T) {
	bad := errors.New("refused")
	s := newCertStore(func(der []byte) (string, string, ed25519.PublicKey, error) {
		if der[0] == 'x' {
			return "", "", nil, bad
		}
		return "eu-1", "a", nil, nil
	})
	now := time.Now()
	frame := make([]byte, 100_000)
	for i := range maxCertificates + 100 {
		der := fmt.Appendf(nil, "%d", i)
		if _, err := s.learn(keyIDOf(der), der, now); err != nil {
			t.Fatal(err)
		}
		der = fmt.Appendf(nil, "x%d", i)
		if _, err := s.learn(keyIDOf(der), der, now); !errors.Is(err, ErrForged) || !errors.Is(err, bad) {
			t.Fatal(err)
		}
		s.park(keyIDOf(der), arrival{frame: frame}, now)
	}
	if len(s.known) > maxCertificates || len(s.refused) > maxRefused || len(s.parked) > maxParkedKeys || s.parkedBytes > maxParkedBytes {
		t.Errorf("%d known, %d refused, %d parked keys of %d bytes", len(s.known), len(s.refused), len(s.parked), s.parkedBytes)
	}
	s.expire(now.Add(time.Minute))
	if len(s.refused) != 0 || len(s.parked) != 0 || s.parkedBytes != 0 {
		t.Errorf("left after expiry: %d refused, %d parked, %d bytes", len(s.refused), len(s.parked), s.parkedBytes)
	}
}

func TestCertificateIsAskedForOnceInAWhile(t *testing.T) {
	s, now := newCertStore(nil), time.Now()
	key := keyID{1}
	asked := 0
	for i := range 100 {
		if s.park(key, arrival{frame: []byte{byte(i)}}, now.Add(time.Duration(i)*10*time.Millisecond)) {
			asked++
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times in a second", asked)
	}
	frames := s.release(key)
	if len(frames) != maxParkedFrames || frames[len(frames)-1].frame[0] != 99 {
		t.Errorf("%d frames waited, the newest must be among them", len(frames))
	}
}

func TestRegionsAreBounded(t *testing.T) {
	f := newFleet(t)
	m, err := New(f.config("eu-1", "a"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for i := range MaxRegions {
		m.knownRegion(fmt.Sprintf("r-%d", i), now).digestArrived = now.Add(time.Duration(i))
	}
	if m.knownRegion("one-more", now) != nil {
		t.Error("one region too many is taken in")
	}
	later := now.Add(m.cfg.Timing.StartOver + time.Hour)
	if m.knownRegion("one-more", later) == nil || m.book.regions["r-0"] != nil || len(m.book.regions) != MaxRegions {
		t.Error("the region silent for longest should have given way")
	}
}

func TestRegionSilentForLongMayStartOver(t *testing.T) {
	f := newFleet(t)
	m, err := New(f.config("eu-1", "a"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if _, err := m.news(Version{1, 1}, Version{9, 9}, now, now.Add(time.Minute)); !errors.Is(err, ErrStale) {
		t.Errorf("a lower term soon after: %v", err)
	}
	fresh, err := m.news(Version{1, 1}, Version{9, 9}, now, now.Add(m.cfg.Timing.StartOver+time.Second))
	if !fresh || err != nil {
		t.Errorf("a lower term after long silence: %v, %v", fresh, err)
	}
}

func TestCourierKeepsOnlyTheNewestOfATopic(t *testing.T) {
	c := newCourier(nil)
	p := &pool{name: poolLAN}
	peer := &poolPeer{}
	peer.node.Name = "a"
	for i := range 10 {
		c.put(parcel{pool: p, peer: peer, topic: "vector/eu-1", frame: []byte{byte(i)}})
	}
	c.put(parcel{pool: p, peer: peer, topic: "vector/us-1", frame: []byte{77}})
	first, ok := c.take()
	if !ok || first.frame[0] != 9 {
		t.Errorf("took %v", first.frame)
	}
	if len(c.queue) != 1 {
		t.Errorf("%d parcels wait", len(c.queue))
	}
	c.done(first)
	if second, ok := c.take(); !ok || second.frame[0] != 77 {
		t.Errorf("took %v", second.frame)
	}
}
