package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Credentials hold an agent's certificate and the authorities it trusts; they
// can be replaced while in use. Safe for concurrent use.
type Credentials struct {
	current atomic.Pointer[credentialSet]
}

type credentialSet struct {
	cert tls.Certificate // Leaf is set
	cas  *x509.CertPool
	peer Peer
}

// NewCredentials checks that the certificate is a mesh certificate, valid now
// under cas. Errors of that kind are ErrIdentity.
func NewCredentials(cert tls.Certificate, cas *x509.CertPool) (*Credentials, error) {
	c := &Credentials{}
	if err := c.Replace(cert, cas); err != nil {
		return nil, err
	}
	return c, nil
}

// LoadCredentials reads a certificate (with its intermediates), its private key
// and the authorities to trust, all PEM, and checks them as NewCredentials.
func LoadCredentials(certPEM, keyPEM, caPEM []byte) (*Credentials, error) {
	c := &Credentials{}
	if err := c.Reload(certPEM, keyPEM, caPEM); err != nil {
		return nil, err
	}
	return c, nil
}

// Reload is Replace from PEM.
func (c *Credentials) Reload(certPEM, keyPEM, caPEM []byte) error {
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return fmt.Errorf("read mesh certificate and key: %w", err)
	}
	cas := x509.NewCertPool()
	if !cas.AppendCertsFromPEM(caPEM) {
		return errors.New("read mesh authorities: no certificate found in PEM")
	}
	return c.Replace(cert, cas)
}

// Replace takes a new certificate and new authorities; on error nothing
// changes. The identity must stay what it was. New handshakes use them at once;
// connections whose peers they do not cover are closed within a second.
func (c *Credentials) Replace(cert tls.Certificate, cas *x509.CertPool) error {
	set, err := newCredentialSet(cert, cas)
	if err != nil {
		return fmt.Errorf("mesh credentials: %w", err)
	}
	if old := c.current.Load(); old != nil && old.peer != set.peer {
		return fmt.Errorf("mesh credentials: %w: certificate names %s, this agent is %s", ErrIdentity, set.peer, old.peer)
	}
	c.current.Store(set)
	return nil
}

// Self returns the agent that the certificate names.
func (c *Credentials) Self() Peer { return c.current.Load().peer }

// Certificate returns the certificate in use and its key. Read only.
func (c *Credentials) Certificate() *tls.Certificate { return &c.current.Load().cert }

// Authorities returns the pool in use. Read only.
func (c *Credentials) Authorities() *x509.CertPool { return c.current.Load().cas }

func newCredentialSet(cert tls.Certificate, cas *x509.CertPool) (*credentialSet, error) {
	chain := make([]*x509.Certificate, 0, len(cert.Certificate))
	for _, der := range cert.Certificate {
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		chain = append(chain, parsed)
	}
	if err := verifyChain(chain, cas, x509.ExtKeyUsageServerAuth, time.Time{}); err != nil {
		return nil, err
	}
	peer, err := namedPeer(chain[0])
	if err != nil {
		return nil, err
	}
	if _, err := meshIdentity(chain, cas, peer.TrustDomain, x509.ExtKeyUsageClientAuth, time.Time{}); err != nil {
		return nil, err
	}
	cert.Leaf = chain[0]
	return &credentialSet{cert: cert, cas: cas, peer: peer}, nil
}
