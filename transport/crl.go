package transport

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

const pemCRL = "X509 CRL"

// RevocationList is what certificate revocation lists (RFC 5280, section 5) take
// back. It does not change; nil takes nothing back.
type RevocationList struct {
	revoked map[revocation]struct{}
	next    time.Time
}

// revocation names a certificate: serial numbers are an issuer's own.
type revocation struct{ issuer, serial string }

var errRevocation = errors.New("revocation list")

// ParseRevocationLists reads lists in PEM (X509 CRL), or one in DER. Each has to
// be signed by one of the authorities, in PEM. A list that is out of date counts
// all the same: see NextUpdate.
func ParseRevocationLists(raw, authorities []byte) (*RevocationList, error) {
	issuers, err := parseCertificates(authorities)
	if err != nil {
		return nil, err
	}
	all := &RevocationList{revoked: map[revocation]struct{}{}}
	blocks := 0
	for rest := raw; ; blocks++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != pemCRL {
			return nil, fmt.Errorf("%w: a %q in PEM, want %s", errRevocation, block.Type, pemCRL)
		}
		if err := all.add(block.Bytes, issuers); err != nil {
			return nil, err
		}
	}
	if blocks == 0 {
		if err := all.add(raw, issuers); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func parseCertificates(raw []byte) (all []*x509.Certificate, err error) {
	for rest := raw; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return all, nil
		}
		if block.Type != pemCertificate {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, cert)
	}
}

func (l *RevocationList) add(der []byte, issuers []*x509.Certificate) error {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return fmt.Errorf("%w: %w", errRevocation, err)
	}
	if !signedByOne(list, issuers) {
		return fmt.Errorf("%w: that of %q is signed by none of the authorities", errRevocation, list.Issuer)
	}
	for _, entry := range list.RevokedCertificateEntries {
		l.revoked[revocation{string(list.RawIssuer), string(entry.SerialNumber.Bytes())}] = struct{}{}
	}
	if l.next.IsZero() || !list.NextUpdate.IsZero() && list.NextUpdate.Before(l.next) {
		l.next = list.NextUpdate
	}
	return nil
}

func signedByOne(list *x509.RevocationList, issuers []*x509.Certificate) bool {
	for _, issuer := range issuers {
		if list.CheckSignatureFrom(issuer) == nil {
			return true
		}
	}
	return false
}

// Revoke returns a list, in PEM, that takes certificates of the authority back; it
// is to be replaced within validity (0: 30 days). A list says all that is revoked:
// what an earlier one said counts no more.
func (a *Authority) Revoke(certificates [][]byte, validity time.Duration) ([]byte, error) {
	now := time.Now()
	list := &x509.RevocationList{Number: big.NewInt(now.UnixNano()), ThisUpdate: now.Add(-clockSkew), NextUpdate: now.Add(orDefault(validity, 30*24*time.Hour))}
	for _, raw := range certificates {
		chain, err := parseCertificates(raw)
		if err != nil {
			return nil, err
		}
		if len(chain) == 0 || chain[0].CheckSignatureFrom(a.cert) != nil {
			return nil, fmt.Errorf("%w: not a certificate of %q", errRevocation, a.cert.Subject)
		}
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: chain[0].SerialNumber, RevocationTime: now})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		return nil, err
	}
	return encodePEM(pemCRL, der), nil
}

// Revoked says whether a certificate is on a list. Safe for concurrent use.
func (l *RevocationList) Revoked(cert *x509.Certificate) bool {
	if l == nil {
		return false
	}
	_, revoked := l.revoked[revocation{string(cert.RawIssuer), string(cert.SerialNumber.Bytes())}]
	return revoked
}

// NextUpdate is when the earliest list will be out of date; zero: it does not say.
func (l *RevocationList) NextUpdate() time.Time { return l.next }
