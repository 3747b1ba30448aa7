package transport

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"

	"github.com/tidegate/tidegate/policy"
)

// VerifyCertificate checks a peer's mesh certificate (DER, issued directly by
// one of cas) and returns who it names and the key that signs its reports.
// Errors are of kind ErrIdentity.
func VerifyCertificate(certDER []byte, cas *x509.CertPool, trustDomain string) (region, agent string, pub ed25519.PublicKey, err error) {
	return "", "", nil, ErrIdentity
}

// VerifyDevice checks the client certificate of a TLS connection against the
// device authorities and returns the device it names: by its one SPIFFE ID
// spiffe://<trustDomain>/device/<id>, else by its common name. Properties are
// "tenant" (subject O), "type" (subject OU) and what IssueDevice put in. It
// does not rely on the handshake having verified anything, so that it holds
// for resumed sessions too: call it from tls.Config.VerifyConnection or later.
// Errors are of kind ErrIdentity.
func VerifyDevice(cs tls.ConnectionState, cas *x509.CertPool, trustDomain string) (policy.Device, error) {
	return policy.Device{}, ErrIdentity
}
