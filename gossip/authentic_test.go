package gossip

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// victim is a lone agent of eu-1 and a member a of its LAN pool, whose frames
// the test writes itself.
type victim struct {
	*fleet
	mesh *Mesh
	peer *Mesh
}

func newVictim(t *testing.T) *victim {
	f := newFleet(t)
	v := &victim{fleet: f, mesh: f.start("eu-1", "victim", nil, nil)}
	v.peer = f.start("eu-1", "peer", []string{f.addr("victim/lan")}, nil)
	within(t, 8*time.Second, "victim knows peer as a gateway, and both regions have reports", func() bool {
		s := v.mesh.State()
		r, ok := s.Regions["eu-1"]
		return slices.Contains(s.Gateways, "peer") && s.IsGateway && ok && r.Digest != nil && r.Vector != nil
	})
	return v
}

func (v *victim) signer(region, agent string) *signer {
	v.t.Helper()
	cfg := Config{Name: agent, Region: region, Verify: v.ca.verify}
	s, err := cfg.newSigner(v.ca.issue(v.t, region, agent))
	if err != nil {
		v.t.Fatal(err)
	}
	return s
}

// expectDrop delivers a frame as if the pool had and waits until it is counted.
func (v *victim) expectDrop(reason string, frame []byte) {
	v.t.Helper()
	before := v.dropped("victim", reason)
	v.mesh.deliver(v.mesh.lan, frame)
	within(v.t, 3*time.Second, "dropped for "+reason, func() bool { return v.dropped("victim", reason) > before })
}

// withCert lets a frame bring its certificate along.
func withCert(s *signer, k kind, payload []byte) []byte {
	e, err := openEnvelope(s.seal(k, payload))
	if err != nil {
		panic(err)
	}
	e.cert = s.der
	return e.encode()
}

func TestFramesThatAreNotAuthenticAreDroppedAndCounted(t *testing.T) {
	v := newVictim(t)
	us, stranger := v.signer("us-1", "x"), newAuthority(t)
	usDigest := encodeDigest(&Digest{Region: "us-1", Version: Version{1, 1}, Ready: 666})
	foreign := encodeDigest(&Digest{Region: "eu-1", Version: Version{99, 1}, Ready: 666})
	vector := encodeVector(&Vector{Region: "eu-1", Version: Version{99, 1}})
	life := v.peer.life
	verdict := (&claimFrame{origin: origin{"peer", life, 1 << 40}, Regions: []string{"us-1"}}).encode()
	load := (&loadFrame{origin: origin{"peer", life, 1 << 40}, Parts: 1, Load: Load{Targets: manyTargets(1)}}).encode()

	v.expectDrop(dropMalformed, []byte("no frame"))
	v.expectDrop(dropMalformed, us.seal(kindDigest, []byte{255}))
	v.expectDrop(dropForeign, withCert(us, kindDigest, foreign))
	v.expectDrop(dropForeign, withCert(us, kindVector, vector))
	v.expectDrop(dropForeign, withCert(us, kindVerdict, verdict))
	v.expectDrop(dropForeign, withCert(us, kindLoad, load))
	v.expectDrop(dropForeign, withCert(v.signer("eu-1", "other"), kindVerdict, verdict))
	v.expectDrop(dropUnknownKey, v.signer("us-1", "y").seal(kindDigest, usDigest))

	forger := &signer{der: stranger.issue(t, "us-1", "x").CertDER, key: us.key}
	forger.id = keyIDOf(forger.der)
	v.expectDrop(dropCertificate, withCert(forger, kindDigest, usDigest))

	tampered, err := openEnvelope(withCert(us, kindDigest, usDigest))
	if err != nil {
		t.Fatal(err)
	}
	tampered.payload = encodeDigest(&Digest{Region: "us-1", Version: Version{1, 2}, Ready: 667})
	v.expectDrop(dropSignature, tampered.encode())
}

func TestReportsOfStrangersAndEarlierLivesAreDropped(t *testing.T) {
	v := newVictim(t)
	ghost := v.signer("eu-1", "ghost")
	claim := func(agent string, life uint64) []byte {
		return (&claimFrame{origin: origin{agent, life, 1 << 40}, Regions: []string{"us-1"}}).encode()
	}
	v.expectDrop(dropStranger, withCert(ghost, kindVerdict, claim("ghost", 1)))
	v.expectDrop(dropEarlierLife, withCert(v.signer("eu-1", "peer"), kindVerdict, claim("peer", v.peer.life+1)))
	tell := &envelope{kind: kindCertTell, key: keyIDOf(v.signer("us-1", "z").der)}
	v.expectDrop(dropUnrequested, tell.encode())
	if down := v.mesh.State().Down; len(down) != 0 {
		t.Errorf("believed: %v", down)
	}
}

func TestOnlyGatewaysMayDeclare(t *testing.T) {
	f := newFleet(t)
	f.regions(map[string][]string{"eu-1": {"a", "b", "c", "d", "e"}})
	within(t, 8*time.Second, "all meet", func() bool {
		for _, m := range f.meshes {
			if s := m.State(); len(s.Members) != 5 {
				return false
			}
		}
		return true
	})
	a := f.meshes["a"]
	a.mu.Lock()
	outside := ""
	for name := range a.book.lan {
		if !a.book.speakers[name] && name != "a" {
			outside = name
		}
	}
	a.mu.Unlock()
	if outside == "" {
		t.Skip("a itself is the fifth")
	}
	liar := f.meshes[outside]
	frame := liar.signer.Load().seal(kindVerdict, (&claimFrame{origin: origin{outside, liar.life, 1}, Regions: []string{"us-1"}}).encode())
	a.deliver(a.lan, frame)
	within(t, 3*time.Second, "dropped", func() bool { return f.dropped("a", dropNotGateway) > 0 })
	liar.Declare([]string{"us-1"})
	throughout(t, 300*time.Millisecond, "nobody believes it", func() bool { return len(a.State().Down) == 0 })
}

func TestOldSequencesAreIgnored(t *testing.T) {
	v := newVictim(t)
	us := v.signer("us-1", "x")
	say := func(version Version, ready int) []byte {
		return withCert(us, kindDigest, encodeDigest(&Digest{Region: "us-1", Version: version, Ready: ready}))
	}
	v.mesh.deliver(v.mesh.lan, say(Version{2, 5}, 25))
	ready := func() int {
		if d := v.mesh.State().Regions["us-1"].Digest; d != nil {
			return d.Ready
		}
		return -1
	}
	within(t, 3*time.Second, "the first is adopted", func() bool { return ready() == 25 })
	v.expectDrop(dropStale, say(Version{2, 4}, 24))
	v.expectDrop(dropStale, say(Version{1, 99}, 199))
	if ready() != 25 {
		t.Errorf("an old digest was adopted: %d", ready())
	}
	v.mesh.deliver(v.mesh.lan, say(Version{3, 1}, 31))
	within(t, 3*time.Second, "a new term wins", func() bool { return ready() == 31 })
	within(t, 3*time.Second, "and is passed on to the LAN", func() bool {
		d := v.peer.State().Regions["us-1"].Digest
		return d != nil && d.Ready == 31
	})
}

func TestOfferedVectorIsCheckedAndReachesTheLAN(t *testing.T) {
	v := newVictim(t)
	us := v.signer("us-1", "x")
	say := func(s *signer, seq uint64, ready int) []byte {
		return s.seal(kindVector, encodeVector(&Vector{
			Region: "us-1", Version: Version{1, seq}, Targets: map[string]TargetLoad{"alarms": {Ready: ready}},
		}))
	}
	if err := v.mesh.Offer(say(us, 2, 2)); err != nil {
		t.Fatal(err)
	}
	if err := v.mesh.Offer(say(us, 2, 2)); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if err := v.mesh.Offer(say(us, 1, 1)); !errors.Is(err, ErrStale) {
		t.Errorf("an older one: %v", err)
	}
	if err := v.mesh.Offer(say(v.signer("eu-2", "y"), 3, 3)); !errors.Is(err, ErrForged) {
		t.Errorf("a foreign one: %v", err)
	}
	if err := v.mesh.Offer([]byte("x")); !errors.Is(err, ErrFrame) {
		t.Errorf("no frame: %v", err)
	}
	if err := v.mesh.Offer(us.seal(kindDigest, encodeDigest(&Digest{Region: "us-1", Version: Version{9, 9}}))); !errors.Is(err, ErrFrame) {
		t.Errorf("a digest: %v", err)
	}
	for _, m := range []*Mesh{v.mesh, v.peer} {
		within(t, 3*time.Second, "the vector is known", func() bool {
			vec := m.State().Regions["us-1"].Vector
			return vec != nil && vec.Targets["alarms"].Ready == 2
		})
	}
}

func TestVectorLargerThanADatagramReachesTheLAN(t *testing.T) {
	v := newVictim(t)
	us := v.signer("us-1", "x")
	frame := us.seal(kindVector, encodeVector(&Vector{Region: "us-1", Version: Version{1, 1}, Targets: manyTargets(3_000)}))
	if err := v.mesh.Offer(frame); err != nil {
		t.Fatal(err)
	}
	within(t, 3*time.Second, "peer has all targets", func() bool {
		vec := v.peer.State().Regions["us-1"].Vector
		return vec != nil && len(vec.Targets) == 3_000
	})
}

func TestUnknownCertificateIsAskedFor(t *testing.T) {
	v := newVictim(t)
	us := v.signer("us-1", "x")
	digest := func(seq uint64) []byte {
		return encodeDigest(&Digest{Region: "us-1", Version: Version{1, seq}, Ready: int(seq)})
	}
	v.peer.deliver(v.peer.lan, withCert(us, kindDigest, digest(1)))
	within(t, 3*time.Second, "victim learns the certificate from its fellow gateway", func() bool {
		d := v.mesh.State().Regions["us-1"].Digest // gossiped without certificate
		return d != nil && d.Ready == 1
	})
}

func TestRevokedCertificateIsNoLongerBelieved(t *testing.T) {
	v := newVictim(t)
	us := v.signer("us-1", "x")
	digest := func(seq uint64) []byte {
		return withCert(us, kindDigest, encodeDigest(&Digest{Region: "us-1", Version: Version{1, seq}}))
	}
	v.mesh.deliver(v.mesh.lan, digest(1))
	within(t, 3*time.Second, "believed", func() bool { return v.mesh.State().Regions["us-1"].Digest != nil })
	v.ca.mu.Lock()
	v.ca.revoked["x"] = true
	v.ca.mu.Unlock()
	v.mesh.mu.Lock()
	v.mesh.book.certs.known[us.id].checked = time.Now().Add(-2 * recheckCertificate)
	v.mesh.mu.Unlock()
	v.expectDrop(dropCertificate, digest(2))
}
