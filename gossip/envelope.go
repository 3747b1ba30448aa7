package gossip

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// kind says what an envelope's payload is.
type kind uint8

const (
	kindDigest    kind = 1
	kindVector    kind = 2
	kindLoad      kind = 3
	kindVerdict   kind = 4
	kindOpinion   kind = 5
	kindCertAsk   kind = 6 // unsigned
	kindCertTell  kind = 7 // unsigned: the certificate speaks for itself
	kindOverride  kind = 8
	kindDelta     kind = 9
	kindLoadDelta kind = 10
	kindReportAsk kind = 11 // unsigned
)

func (k kind) String() string {
	names := [...]string{"unknown", "digest", "vector", "load", "verdict", "opinion", "cert_ask", "cert_tell", "override", "delta", "load_delta", "report_ask"}
	if int(k) < len(names) {
		return names[k]
	}
	return names[0]
}

const (
	envelopeVersion = 1
	signingContext  = "tidegate gossip frame 1\x00"

	envVersion     protowire.Number = 1
	envKind        protowire.Number = 2
	envKeyID       protowire.Number = 3
	envPayload     protowire.Number = 4
	envSignature   protowire.Number = 5
	envCertificate protowire.Number = 6
	envAge         protowire.Number = 7 // unsigned
)

// keyID names a certificate: the first 8 bytes of SHA-256 over its DER form.
type keyID [8]byte

func keyIDOf(certDER []byte) keyID {
	sum := sha256.Sum256(certDER)
	return keyID(sum[:8])
}

func (id keyID) String() string { return fmt.Sprintf("%x", id[:]) }

// envelope is a frame taken apart. Its slices point into the frame.
type envelope struct {
	kind      kind
	key       keyID
	payload   []byte
	signature []byte
	cert      []byte        // DER, with vectors, overrides and kindCertTell
	age       time.Duration // of an override, since it was signed, as those who passed it on counted
}

func openEnvelope(frame []byte) (envelope, error) {
	if len(frame) == 0 || len(frame) > MaxFrame {
		return envelope{}, fmt.Errorf("%w: %d bytes: 1 to %d are allowed", ErrFrame, len(frame), MaxFrame)
	}
	var e envelope
	version := uint64(0)
	err := eachField(frame, func(f field) error {
		switch {
		case f.is(envVersion, protowire.VarintType):
			version = f.n
		case f.is(envKind, protowire.VarintType):
			e.kind = kind(min(f.n, 255))
		case f.is(envKeyID, protowire.BytesType):
			return e.setKey(f.b)
		case f.is(envPayload, protowire.BytesType):
			e.payload = f.b
		case f.is(envSignature, protowire.BytesType):
			e.signature = f.b
		case f.is(envCertificate, protowire.BytesType):
			e.cert = f.b
		case f.is(envAge, protowire.VarintType):
			e.age = time.Duration(min(f.n, uint64(2*MaxOverrideLeft.Milliseconds()))) * time.Millisecond
		}
		return nil
	})
	if err == nil {
		err = e.check(version)
	}
	return e, err
}

func (e *envelope) setKey(b []byte) error {
	if len(b) != len(e.key) {
		return fmt.Errorf("%w: key id of %d bytes", ErrFrame, len(b))
	}
	e.key = keyID(b)
	return nil
}

func (e *envelope) check(version uint64) error {
	switch {
	case version != envelopeVersion:
		return fmt.Errorf("%w: envelope version %d: this agent speaks %d", ErrFrame, version, envelopeVersion)
	case e.kind < kindDigest || e.kind > kindReportAsk:
		return fmt.Errorf("%w: unknown kind %d", ErrFrame, e.kind)
	case e.signed() && len(e.signature) != ed25519.SignatureSize:
		return fmt.Errorf("%w: signature of %d bytes", ErrFrame, len(e.signature))
	case len(e.cert) > maxCertificate:
		return fmt.Errorf("%w: certificate of %d bytes: at most %d are allowed", ErrFrame, len(e.cert), maxCertificate)
	case len(e.cert) > 0 && keyIDOf(e.cert) != e.key:
		return fmt.Errorf("%w: certificate does not have key id %s", ErrFrame, e.key)
	}
	return nil
}

func (e *envelope) signed() bool {
	return e.kind != kindCertAsk && e.kind != kindCertTell && e.kind != kindReportAsk
}

// signedBytes is what the signature covers: the context keeps a signature
// from meaning anything elsewhere, kind and key id keep it from being moved.
func signedBytes(k kind, key keyID, payload []byte) []byte {
	b := make([]byte, 0, len(signingContext)+1+len(key)+len(payload))
	b = append(b, signingContext...)
	b = append(b, byte(k))
	b = append(b, key[:]...)
	return append(b, payload...)
}

func (e *envelope) authentic(pub ed25519.PublicKey) bool {
	return len(pub) == ed25519.PublicKeySize &&
		ed25519.Verify(pub, signedBytes(e.kind, e.key, e.payload), e.signature)
}

func (e *envelope) encode() []byte {
	b := make([]byte, 0, 96+len(e.payload)+len(e.cert))
	b = appendUint(b, envVersion, envelopeVersion)
	b = appendUint(b, envKind, uint64(e.kind))
	b = appendBlob(b, envKeyID, e.key[:])
	if len(e.payload) > 0 {
		b = appendBlob(b, envPayload, e.payload)
	}
	if len(e.signature) > 0 {
		b = appendBlob(b, envSignature, e.signature)
	}
	if len(e.cert) > 0 {
		b = appendBlob(b, envCertificate, e.cert)
	}
	return appendUint(b, envAge, uint64(max(e.age, 0).Milliseconds()))
}

// signer is a Signer whose certificate and key were found to fit.
type signer struct {
	id  keyID
	der []byte
	key ed25519.PrivateKey
}

func (c *Config) newSigner(s Signer) (*signer, error) {
	if len(s.Key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("signing key has %d bytes: an Ed25519 key is needed", len(s.Key))
	}
	if len(s.CertDER) > maxCertificate {
		return nil, fmt.Errorf("mesh certificate has %d bytes: at most %d are allowed", len(s.CertDER), maxCertificate)
	}
	region, agent, pub, err := c.Verify(s.CertDER)
	switch {
	case err != nil:
		return nil, fmt.Errorf("own mesh certificate would be refused by others: %w", err)
	case region != c.Region || agent != c.Name:
		return nil, fmt.Errorf("mesh certificate names agent %q of region %q, this is %q of %q", agent, region, c.Name, c.Region)
	case !pub.Equal(s.Key.Public()):
		return nil, fmt.Errorf("mesh certificate and signing key do not belong together")
	}
	return &signer{id: keyIDOf(s.CertDER), der: s.CertDER, key: s.Key}, nil
}

func (s *signer) seal(k kind, payload []byte) []byte {
	e := envelope{kind: k, key: s.id, payload: payload}
	e.signature = ed25519.Sign(s.key, signedBytes(k, s.id, payload))
	if k == kindVector || k == kindOverride && len(e.encode())+len(s.der)+8 <= maxDatagram {
		e.cert = s.der
	}
	return e.encode()
}
