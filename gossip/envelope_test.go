package gossip

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

func testSigner(t testing.TB) (*signer, *authority) {
	t.Helper()
	ca := newAuthority(t)
	cfg := Config{Name: "a", Region: "eu-1", Verify: ca.verify}
	own, err := cfg.newSigner(ca.issue(t, "eu-1", "a"))
	if err != nil {
		t.Fatal(err)
	}
	return own, ca
}

func longest(n int) string { return strings.Repeat("x", n) }

func TestLargestDigestFitsItsBound(t *testing.T) {
	own, _ := testSigner(t)
	d := Digest{
		Region: longest(MaxRegionName), Group: longest(MaxRegionName), PolicyVersion: longest(MaxPolicyVersion),
		Version: Version{maxTerm, maxTerm}, Draining: true, Agents: maxCounter + 1, Ready: maxCounter, InFlight: maxCounter,
		format: formatDelta,
	}
	frame := own.seal(kindDigest, encodeDigest(&d))
	if len(frame) > MaxDigest {
		t.Errorf("%d bytes, at most %d are promised", len(frame), MaxDigest)
	}
	e, err := openEnvelope(frame)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeDigest(e.payload)
	d.Agents = maxCounter
	if err != nil || *got != d {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestLargestMetadataFitsItsBound(t *testing.T) {
	m := Meta{
		Region: longest(MaxRegionName), Group: longest(MaxRegionName), MeshAddr: longest(MaxAddress), EdgeAddr: longest(MaxAddress),
		Version: longest(MaxPolicyVersion), Draining: true,
	}
	b := m.encode(1<<64 - 1)
	if len(b) > MaxMeta {
		t.Errorf("%d bytes, memberlist takes %d", len(b), MaxMeta)
	}
	got, run, err := decodeMeta("a", b)
	m.Name = "a"
	if err != nil || got != m || run != (running{1<<64 - 1, formatRelay}) {
		t.Errorf("got %+v, %+v, %v", got, run, err)
	}
}

func TestOverheadOfAnEnvelopeIsAsDocumented(t *testing.T) {
	own, _ := testSigner(t)
	payload := make([]byte, maxDatagram-envelopeOverhead)
	if got := len(own.seal(kindLoad, payload)); got != maxDatagram {
		t.Errorf("a full datagram has %d bytes, expected %d", got, maxDatagram)
	}
}

func TestSignatureCoversKindKeyAndPayload(t *testing.T) {
	own, ca := testSigner(t)
	_, _, pub, err := ca.verify(own.der)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := openEnvelope(own.seal(kindVerdict, []byte("payload")))
	if err != nil || !whole.authentic(pub) {
		t.Fatalf("own frame is not authentic: %v", err)
	}
	otherKind, otherKey, otherPayload := whole, whole, whole
	otherKind.kind = kindOpinion
	otherKey.key[0]++
	otherPayload.payload = []byte("Payload")
	for name, e := range map[string]envelope{"kind": otherKind, "key": otherKey, "payload": otherPayload} {
		if e.authentic(pub) {
			t.Errorf("changing the %s goes unnoticed", name)
		}
	}
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	future := func(b []byte) []byte {
		b = appendText(b, 90, "from a newer agent")
		b = appendUint(b, 91, 7)
		b = appendFixed(b, 92, 7)
		b = protowire.AppendTag(b, 93, protowire.Fixed32Type)
		b = protowire.AppendFixed32(b, 1)
		b = protowire.AppendTag(b, 94, protowire.StartGroupType)
		b = appendUint(b, 1, 1)
		return protowire.AppendTag(b, 94, protowire.EndGroupType)
	}
	d, err := decodeDigest(future(encodeDigest(&Digest{Region: "eu-1", Version: Version{1, 2}, Ready: 3})))
	if err != nil || d.Ready != 3 {
		t.Errorf("digest: %+v, %v", d, err)
	}
	v := &Vector{Region: "eu-1", Version: Version{1, 2}, Targets: map[string]TargetLoad{"s": {Ready: 1, InFlight: 2}}, Agents: []AgentInfo{{Name: "a"}}}
	v, err = decodeVector(future(encodeVector(v)))
	if err != nil || v.Targets["s"] != (TargetLoad{Ready: 1, InFlight: 2}) || len(v.Agents) != 1 {
		t.Errorf("vector: %+v, %v", v, err)
	}
	l, err := decodeLoad(future((&loadFrame{origin: origin{"a", 1, 1}, Parts: 1}).encode()))
	if err != nil || l.Agent != "a" {
		t.Errorf("load: %+v, %v", l, err)
	}
	c, err := decodeClaim(future((&claimFrame{origin: origin{"a", 1, 1}, Regions: []string{"us-1"}}).encode()))
	if err != nil || len(c.Regions) != 1 {
		t.Errorf("claim: %+v, %v", c, err)
	}
	m, _, err := decodeMeta("a", future((&Meta{Region: "eu-1"}).encode(1)))
	if err != nil || m.Region != "eu-1" {
		t.Errorf("meta: %+v, %v", m, err)
	}
	own, _ := testSigner(t)
	if _, err := openEnvelope(future(own.seal(kindLoad, []byte("x")))); err != nil {
		t.Errorf("envelope: %v", err)
	}
}

func TestMalformedEnvelopesAreRefused(t *testing.T) {
	own, _ := testSigner(t)
	good := own.seal(kindLoad, []byte("x"))
	e, err := openEnvelope(good)
	if err != nil {
		t.Fatal(err)
	}
	unsigned, wrongCert, future := e, e, e
	unsigned.signature = nil
	wrongCert.cert = []byte("another")
	future.kind = 99
	cases := map[string][]byte{
		"empty":             nil,
		"truncated":         good[:len(good)-1],
		"unsigned":          unsigned.encode(),
		"foreign cert":      wrongCert.encode(),
		"unknown kind":      future.encode(),
		"other version":     bytes.Replace(good, []byte{8, 1}, []byte{8, 9}, 1),
		"short key":         appendBlob(bytes.Clone(good), envKeyID, []byte("short")),
		"larger than legal": make([]byte, MaxFrame+1),
	}
	for name, frame := range cases {
		if _, err := openEnvelope(frame); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVersionsOutOfRangeAreRefused(t *testing.T) {
	for _, v := range []Version{{0, 1}, {maxTerm + 1, 1}, {1, maxTerm + 1}} {
		if _, err := decodeDigest(encodeDigest(&Digest{Region: "eu-1", Version: v})); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", v, err)
		}
	}
}

func TestLimitsOfAVector(t *testing.T) {
	targets := make(map[string]TargetLoad)
	for i := range MaxTargets {
		targets[longest(i%200+1)+string(rune('a'+i%26))+Version{uint64(i), 0}.String()] = TargetLoad{Ready: i}
	}
	v := &Vector{Region: "eu-1", Version: Version{1, 1}, Targets: targets}
	got, err := decodeVector(encodeVector(v))
	if err != nil || len(got.Targets) != MaxTargets {
		t.Fatalf("%d targets are allowed: %v", MaxTargets, err)
	}
	targets["one-more"] = TargetLoad{}
	if _, err := decodeVector(encodeVector(v)); !errors.Is(err, ErrFrame) {
		t.Errorf("too many targets: %v", err)
	}
	bad := &Vector{Region: "eu-1", Version: Version{1, 1}, Agents: []AgentInfo{{Name: "with space"}}}
	if _, err := decodeVector(encodeVector(bad)); !errors.Is(err, ErrFrame) {
		t.Errorf("unprintable name: %v", err)
	}
	bad.Agents = make([]AgentInfo, MaxAgents+1)
	for i := range bad.Agents {
		bad.Agents[i].Name = "a"
	}
	if _, err := decodeVector(encodeVector(bad)); !errors.Is(err, ErrFrame) {
		t.Errorf("too many agents: %v", err)
	}
}
