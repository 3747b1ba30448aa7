package config

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tidegate/tidegate/transport"
)

// Identity is a certificate with its key, and the authorities to trust.
type Identity struct {
	Certificate tls.Certificate
	Pool        *x509.CertPool // nil: no authorities were asked for
	CertPEM     []byte
	KeyPEM      []byte
	CAPEM       []byte
	Peer        transport.Peer            // of a mesh certificate
	CRL         *transport.RevocationList // nil: none was given
}

// Load reads the mesh certificate, key and authorities and checks that they
// belong together, that the key is Ed25519 and that the certificate names an
// agent. Errors are of kind ErrInvalid.
func (m MeshTLS) Load() (*Identity, error) {
	id, _, err := m.load()
	return id, err
}

func (m MeshTLS) load() (*Identity, string, error) {
	id, at, err := loadIdentity(m.Cert, m.Key, m.CA)
	if err != nil {
		return nil, at, err
	}
	if _, ok := id.Certificate.PrivateKey.(ed25519.PrivateKey); !ok {
		return nil, "key", fmt.Errorf("%w: %s is not an Ed25519 key: make one with tidegate tls cert mesh", ErrInvalid, m.Key)
	}
	leaf := id.Certificate.Leaf
	if len(leaf.URIs) != 1 {
		return nil, "cert", fmt.Errorf("%w: %s has %d URI names, a mesh certificate has one", ErrInvalid, m.Cert, len(leaf.URIs))
	}
	if id.Peer, err = transport.ParseSPIFFE(leaf.URIs[0].String()); err != nil {
		return nil, "cert", fmt.Errorf("%w: %s: %w", ErrInvalid, m.Cert, err)
	}
	return id, "", chains(id, m.Cert)
}

// chains checks that the authorities vouch for the certificate, whatever its
// dates.
func chains(id *Identity, name string) error {
	leaf := id.Certificate.Leaf
	between := x509.NewCertPool()
	for _, der := range id.Certificate.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(c)
		}
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: id.Pool, Intermediates: between, CurrentTime: leaf.NotBefore.Add(time.Second),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return fmt.Errorf("%w: %s is not of these authorities: %w", ErrInvalid, name, err)
	}
	return nil
}

// Load reads the edge certificate, its key and the device authorities and
// checks that certificate and key belong together. Errors are of kind
// ErrInvalid.
func (e EdgeTLS) Load() (*Identity, error) {
	id, _, err := e.load()
	return id, err
}

func (e EdgeTLS) load() (id *Identity, at string, err error) {
	if id, at, err = loadIdentity(e.Cert, e.Key, e.ClientCA); err != nil || e.CRL == "" {
		if at == "ca" {
			at = "client_ca"
		}
		return id, at, err
	}
	raw, err := readLimited(e.CRL)
	if err == nil {
		id.CRL, err = transport.ParseRevocationLists(raw, id.CAPEM)
	}
	if err != nil {
		return nil, "crl", fmt.Errorf("%w: %s: %w", ErrInvalid, e.CRL, err)
	}
	return id, "", nil
}

// loadIdentity reads three PEM files, ca optional; at says which one is wrong.
func loadIdentity(cert, key, ca string) (id *Identity, at string, err error) {
	id = &Identity{}
	if id.CertPEM, err = readLimited(cert); err != nil {
		return nil, "cert", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if id.KeyPEM, err = readLimited(key); err != nil {
		return nil, "key", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if id.Certificate, err = tls.X509KeyPair(id.CertPEM, id.KeyPEM); err != nil {
		return nil, "cert", fmt.Errorf("%w: %s with key %s: %w", ErrInvalid, cert, key, err)
	}
	if ca == "" {
		return id, "", nil
	}
	if id.CAPEM, err = readLimited(ca); err != nil {
		return nil, "ca", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	id.Pool = x509.NewCertPool()
	if !id.Pool.AppendCertsFromPEM(id.CAPEM) {
		return nil, "ca", fmt.Errorf("%w: %s holds no certificate in PEM", ErrInvalid, ca)
	}
	return id, "", nil
}

func (l *loader) checkTLS() {
	l.checkMeshTLS(&l.config.TLS.Mesh)
	l.checkEdgeTLS(l.config.TLS.Edge)
}

func (l *loader) checkDeny(key string, deny []string) {
	for _, entry := range deny {
		region, agent, both := strings.Cut(entry, "/")
		if !namePattern.MatchString(region) || both && !namePattern.MatchString(agent) {
			l.fault(key, "%q is neither REGION nor REGION/AGENT", entry)
		}
	}
}

func (l *loader) checkMeshTLS(m *MeshTLS) {
	const key = "tls.mesh"
	l.checkDeny(key+".deny", m.Deny)
	if !l.required(key, map[string]string{"cert": m.Cert, "key": m.Key, "ca": m.CA}) {
		return
	}
	id, at, err := m.load()
	if err != nil {
		if at == "" {
			at = "ca"
		}
		l.fault(join(key, at), "%s", reason(err))
		return
	}
	if m.TrustDomain == "" {
		m.TrustDomain = id.Peer.TrustDomain
	}
	want := transport.Peer{TrustDomain: m.TrustDomain, Region: l.config.Region, Agent: l.config.Name}
	if named := namePattern.MatchString(want.Region) && namePattern.MatchString(want.Agent); named && id.Peer != want {
		l.fault(key+".cert", "%s is for %s, this agent is %s", m.Cert, id.Peer, want)
	}
	l.dates(key+".cert", m.Cert, id)
}

func (l *loader) checkEdgeTLS(e EdgeTLS) {
	const key = "tls.edge"
	l.oneOf(key+".client_auth", e.ClientAuth, ClientAuthRequire, ClientAuthOptional, ClientAuthNone)
	files := map[string]string{"cert": e.Cert, "key": e.Key}
	if e.ClientAuth != ClientAuthNone {
		files["client_ca"] = e.ClientCA
	}
	if !l.required(key, files) {
		return
	}
	id, at, err := e.load()
	if err != nil {
		l.fault(join(key, at), "%s", reason(err))
		return
	}
	l.dates(key+".cert", e.Cert, id)
	if next := id.CRL; next != nil && !next.NextUpdate().IsZero() && time.Now().After(next.NextUpdate()) {
		l.warn("%s.crl: %s was to be replaced by %s", key, e.CRL, next.NextUpdate().Format(time.DateTime))
	}
}

func (l *loader) required(prefix string, values map[string]string) bool {
	all := true
	for _, name := range []string{"cert", "key", "ca", "client_ca"} {
		if value, asked := values[name]; asked && value == "" {
			l.fault(join(prefix, name), "is required")
			all = false
		}
	}
	return all
}

// dates only warns: an agent whose certificate ran out still serves what it
// can, and says so.
func (l *loader) dates(key, file string, id *Identity) {
	now, leaf := time.Now(), id.Certificate.Leaf
	switch {
	case now.After(leaf.NotAfter):
		l.warn("%s: %s expired on %s", key, file, leaf.NotAfter.Format(time.DateOnly))
	case now.Before(leaf.NotBefore):
		l.warn("%s: %s is not valid before %s", key, file, leaf.NotBefore.Format(time.DateTime))
	}
}

// reason drops the kind from the front: the diagnostic says it already.
func reason(err error) string {
	text, prefix := err.Error(), ErrInvalid.Error()+": "
	if errors.Is(err, ErrInvalid) && len(text) > len(prefix) && text[:len(prefix)] == prefix {
		return text[len(prefix):]
	}
	return text
}
