package transport

import (
	"crypto/ed25519"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/tidegate/tidegate/policy"
	"time"
)

// VerifyCertificate checks a peer's mesh certificate (DER, issued directly by
// one of cas) at a time, zero for now, and returns who it names and the key that
// signs its reports. Errors are of kind ErrIdentity.
func VerifyCertificate(certDER []byte, cas *x509.CertPool, trustDomain string, now time.Time) (region, agent string, pub ed25519.PublicKey, err error) {
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return "", "", nil, fmt.Errorf("%w: parse certificate: %w", ErrIdentity, err)
	}
	peer, err := meshIdentity([]*x509.Certificate{cert}, cas, trustDomain, x509.ExtKeyUsageClientAuth, now)
	if err != nil {
		return "", "", nil, err
	}
	pub, ok := cert.PublicKey.(ed25519.PublicKey)
	if !ok {
		return "", "", nil, fmt.Errorf("%w: %s has a %s key: reports are signed with Ed25519", ErrIdentity, peer, cert.PublicKeyAlgorithm)
	}
	return peer.Region, peer.Agent, pub, nil
}

// VerifyDevice checks the client certificate of a TLS connection, leaf first,
// against the device authorities at a time, zero for now, and returns the device it names: by its one
// SPIFFE ID spiffe://<trustDomain>/device/<id>, else by its common name.
// Properties are "tenant" (subject O), "type" (subject OU) and what IssueDevice
// put in. Where names are given, their patterns tell the device instead, and no
// trust domain counts but what they say. It does not rely on the handshake
// having verified anything, so that it holds for resumed sessions too: call it
// from tls.Config.VerifyConnection or later. Errors are of kind ErrIdentity.
func VerifyDevice(chain []*x509.Certificate, cas *x509.CertPool, trustDomain string, names *DeviceNames, now time.Time) (policy.Device, error) {
	if err := verifyChain(chain, cas, x509.ExtKeyUsageClientAuth, now); err != nil {
		return policy.Device{}, err
	}
	return NamedDevice(chain[0], trustDomain, names)
}

// NamedDevice returns the device that a certificate names, as VerifyDevice does of
// one it has verified. The certificate must have been verified for client
// authentication, by the authorities of devices.
func NamedDevice(cert *x509.Certificate, trustDomain string, names *DeviceNames) (policy.Device, error) {
	if cert.IsCA {
		return policy.Device{}, fmt.Errorf("%w: %q is an authority's certificate", ErrIdentity, cert.Subject)
	}
	id, properties, err := names.device(cert, trustDomain)
	if err != nil {
		return policy.Device{}, err
	}
	return NewDevice(id, properties)
}

// NewDevice returns a device as VerifyDevice does, known by something else than a
// certificate. Errors are of kind ErrIdentity.
func NewDevice(id string, properties map[string]string) (policy.Device, error) {
	if !validDeviceID(id) {
		return policy.Device{}, fmt.Errorf("%w: %.80q is no id of a device", ErrIdentity, id)
	}
	if err := checkProperties(properties); err != nil {
		return policy.Device{}, fmt.Errorf("%w: device %s: %w", ErrIdentity, id, err)
	}
	return policy.Device{ID: id, Properties: properties}, nil
}

func deviceID(cert *x509.Certificate, trustDomain string) (string, error) {
	spiffe := spiffeIDs(cert)
	if len(spiffe) == 0 {
		if cn := cert.Subject.CommonName; validDeviceID(cn) {
			return cn, nil
		}
		return "", fmt.Errorf("%w: certificate names no device: neither a SPIFFE ID nor a usable common name %.80q", ErrIdentity, cert.Subject.CommonName)
	}
	if len(spiffe) > 1 {
		return "", fmt.Errorf("%w: certificate has %d SPIFFE IDs, want one", ErrIdentity, len(spiffe))
	}
	domain, id, err := ParseDeviceSPIFFE(spiffe[0])
	if err != nil {
		return "", err
	}
	return id, checkTrustDomain(domain, trustDomain)
}

// meshIdentity verifies a chain, leaf first, and reads the agent it names.
func meshIdentity(chain []*x509.Certificate, cas *x509.CertPool, trustDomain string, usage x509.ExtKeyUsage, now time.Time) (Peer, error) {
	if err := verifyChain(chain, cas, usage, now); err != nil {
		return Peer{}, err
	}
	peer, err := namedPeer(chain[0])
	if err != nil {
		return Peer{}, err
	}
	return peer, checkTrustDomain(peer.TrustDomain, trustDomain)
}

func namedPeer(cert *x509.Certificate) (Peer, error) {
	spiffe := spiffeIDs(cert)
	if len(spiffe) != 1 {
		return Peer{}, fmt.Errorf("%w: certificate %q has %d SPIFFE IDs, a mesh certificate has one", ErrIdentity, cert.Subject, len(spiffe))
	}
	return ParseSPIFFE(spiffe[0])
}

func verifyChain(chain []*x509.Certificate, cas *x509.CertPool, usage x509.ExtKeyUsage, now time.Time) error {
	if len(chain) == 0 {
		return fmt.Errorf("%w: no certificate", ErrIdentity)
	}
	if cas == nil {
		return fmt.Errorf("%w: no authority is trusted", ErrIdentity) // x509 would take the system's
	}
	if chain[0].IsCA {
		return fmt.Errorf("%w: %q is an authority's certificate", ErrIdentity, chain[0].Subject)
	}
	intermediates := x509.NewCertPool()
	for _, cert := range chain[1:] {
		intermediates.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: cas, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{usage}, CurrentTime: now})
	if err != nil {
		return fmt.Errorf("%w: %q: %w", ErrIdentity, chain[0].Subject, err)
	}
	return nil
}

func checkTrustDomain(got, want string) error {
	if got != want {
		return fmt.Errorf("%w: trust domain %q, want %q", ErrIdentity, got, want)
	}
	return nil
}

func spiffeIDs(cert *x509.Certificate) []string {
	var ids []string
	for _, uri := range cert.URIs {
		if strings.EqualFold(uri.Scheme, "spiffe") {
			ids = append(ids, uri.String())
		}
	}
	return ids
}
