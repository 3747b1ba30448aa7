package transport

import "time"

// Authority issues certificates of one trust domain. Safe for concurrent use.
type Authority struct{}

// Issued is a certificate and its private key, PEM; CertPEM holds the leaf only.
type Issued struct {
	CertPEM []byte
	KeyPEM  []byte
}

// NewAuthority makes a self-signed authority (ECDSA P-256), valid for validity.
func NewAuthority(commonName, trustDomain string, validity time.Duration) (*Authority, error) {
	return &Authority{}, nil
}

// LoadAuthority reads what CertPEM and KeyPEM returned.
func LoadAuthority(certPEM, keyPEM []byte) (*Authority, error) { return &Authority{}, nil }

// TrustDomain returns the domain whose identities the authority issues.
func (a *Authority) TrustDomain() string { return "" }

// CertPEM returns the authority's certificate, to be trusted by others.
func (a *Authority) CertPEM() []byte { return nil }

// KeyPEM returns the authority's private key (PKCS #8), to be kept offline.
func (a *Authority) KeyPEM() ([]byte, error) { return nil, nil }

// IssueMesh makes an agent's mesh certificate (Ed25519, server and client).
func (a *Authority) IssueMesh(region, agent string, validity time.Duration) (Issued, error) {
	return Issued{}, nil
}

// IssueEdge makes a server certificate for the device listeners (ECDSA P-256):
// names are DNS names and IP addresses.
func (a *Authority) IssueEdge(names []string, validity time.Duration) (Issued, error) {
	return Issued{}, nil
}

// IssueDevice makes a device's client certificate (ECDSA P-256). Properties
// are what routes see as device.<name>; nil for none.
func (a *Authority) IssueDevice(id string, properties map[string]string, validity time.Duration) (Issued, error) {
	return Issued{}, nil
}
