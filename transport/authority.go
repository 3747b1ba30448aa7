package transport

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"
)

// Validity of certificates when none is given.
const (
	DefaultAuthorityValidity   = 10 * 365 * 24 * time.Hour
	DefaultCertificateValidity = 365 * 24 * time.Hour
)

// clockSkew is how far another machine's clock may be behind.
const clockSkew = 5 * time.Minute

// Authority issues certificates of one trust domain. Safe for concurrent use.
type Authority struct {
	cert   *x509.Certificate
	key    crypto.Signer
	domain string
}

// NewAuthority makes a self-signed authority (ECDSA P-256). Validity ≤ 0 means
// DefaultAuthorityValidity.
func NewAuthority(commonName, trustDomain string, validity time.Duration) (*Authority, error) {
	if !validTrustDomain(trustDomain) {
		return nil, fmt.Errorf("make authority: bad trust domain %q: use lower-case letters, digits, dots, dashes, underscores", trustDomain)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make authority: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: commonName},
		NotBefore:             time.Now().Add(-clockSkew),
		NotAfter:              time.Now().Add(orDefault(validity, DefaultAuthorityValidity)),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		URIs:                  []*url.URL{{Scheme: "spiffe", Host: trustDomain}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make authority: %w", err)
	}
	return newAuthority(der, key)
}

// LoadAuthority reads what CertPEM and KeyPEM returned.
func LoadAuthority(certPEM, keyPEM []byte) (*Authority, error) {
	der, err := decodePEM(certPEM, pemCertificate)
	if err != nil {
		return nil, fmt.Errorf("load authority's certificate: %w", err)
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("load authority's key: %w", err)
	}
	return newAuthority(der, key)
}

func newAuthority(der []byte, key crypto.Signer) (*Authority, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("load authority: %w", err)
	}
	public, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(key.Public()) {
		return nil, errors.New("load authority: certificate and key do not belong together")
	}
	ids := spiffeIDs(cert)
	if !cert.IsCA || len(ids) != 1 {
		return nil, fmt.Errorf("load authority: %q is not an authority with one trust domain", cert.Subject)
	}
	domain, path, err := splitSPIFFE(ids[0])
	if err != nil || len(path) != 0 {
		return nil, fmt.Errorf("load authority: %q is not a trust domain", ids[0])
	}
	return &Authority{cert: cert, key: key, domain: domain}, nil
}

// TrustDomain returns the domain whose identities the authority issues.
func (a *Authority) TrustDomain() string { return a.domain }

// CertPEM returns the authority's certificate, to be trusted by others.
func (a *Authority) CertPEM() []byte { return encodePEM(pemCertificate, a.cert.Raw) }

// KeyPEM returns the authority's private key (PKCS #8), to be kept offline.
func (a *Authority) KeyPEM() ([]byte, error) { return keyPEM(a.key) }

// Pool returns a pool that trusts this authority alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// sign completes a template and issues it for key. A certificate never
// outlives its authority.
func (a *Authority) sign(template *x509.Certificate, key crypto.Signer, validity time.Duration) (Issued, error) {
	template.SerialNumber = serial()
	template.NotBefore = time.Now().Add(-clockSkew)
	template.NotAfter = time.Now().Add(orDefault(validity, DefaultCertificateValidity))
	if template.NotAfter.After(a.cert.NotAfter) {
		template.NotAfter = a.cert.NotAfter
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return Issued{}, err
	}
	encoded, err := keyPEM(key)
	if err != nil {
		return Issued{}, err
	}
	return Issued{CertPEM: encodePEM(pemCertificate, der), KeyPEM: encoded}, nil
}

func (a *Authority) signECDSA(template *x509.Certificate, validity time.Duration) (Issued, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Issued{}, err
	}
	return a.sign(template, key, validity)
}

func (a *Authority) signEd25519(template *x509.Certificate, validity time.Duration) (Issued, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Issued{}, err
	}
	return a.sign(template, key, validity)
}

// serial is 128 random bits, as CA/Browser Forum BR 7.1 asks for at least 64.
func serial() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	b[0] = b[0]&0x7f | 0x40 // positive, never short
	return new(big.Int).SetBytes(b[:])
}

func orDefault(d, fallback time.Duration) time.Duration {
	if d <= 0 {
		return fallback
	}
	return d
}
