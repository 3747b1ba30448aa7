package transport

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// Issued is a certificate and its private key (PKCS #8), both PEM.
type Issued struct {
	CertPEM []byte
	KeyPEM  []byte
}

// TLS returns the pair as crypto/tls wants it.
func (i Issued) TLS() (tls.Certificate, error) { return tls.X509KeyPair(i.CertPEM, i.KeyPEM) }

// Credentials returns a mesh certificate's credentials, trusting the given
// authority.
func (i Issued) Credentials(a *Authority) (*Credentials, error) {
	return LoadCredentials(i.CertPEM, i.KeyPEM, a.CertPEM())
}

// IssueMesh makes an agent's mesh certificate: Ed25519, server and client.
// Validity ≤ 0 means DefaultCertificateValidity.
func (a *Authority) IssueMesh(region, agent string, validity time.Duration) (Issued, error) {
	if !validName(region) || !validName(agent) {
		return Issued{}, fmt.Errorf("issue mesh certificate: region %.80q, agent %.80q: use 1 to %d letters, digits, dots, dashes, underscores", region, agent, maxNameLength)
	}
	uri, err := url.Parse(Peer{a.domain, region, agent}.String())
	if err != nil {
		return Issued{}, fmt.Errorf("issue mesh certificate: %w", err)
	}
	issued, err := a.signEd25519(&x509.Certificate{
		Subject:     pkix.Name{CommonName: agent},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{uri},
	}, validity)
	if err != nil {
		return Issued{}, fmt.Errorf("issue mesh certificate for %s: %w", uri, err)
	}
	return issued, nil
}

// IssueEdge makes a server certificate for the device listeners: ECDSA P-256,
// which every client speaks. Names are DNS names (one leading wildcard label
// allowed) and IP addresses; at least one. Validity ≤ 0 means
// DefaultCertificateValidity.
func (a *Authority) IssueEdge(names []string, validity time.Duration) (Issued, error) {
	if len(names) == 0 {
		return Issued{}, fmt.Errorf("issue edge certificate: no names: give the DNS names and IP addresses that devices connect to")
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: names[0]},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if validDNSName(name) {
			template.DNSNames = append(template.DNSNames, name)
		} else {
			return Issued{}, fmt.Errorf("issue edge certificate: %.80q is neither a DNS name nor an IP address", name)
		}
	}
	issued, err := a.signECDSA(template, validity)
	if err != nil {
		return Issued{}, fmt.Errorf("issue edge certificate for %s: %w", names[0], err)
	}
	return issued, nil
}

// IssueDevice makes a device's client certificate: ECDSA P-256, named by
// common name and, where the id fits one, by SPIFFE ID. Properties are what
// routes see as device.<name>; at most 32; nil for none. Validity ≤ 0 means
// DefaultCertificateValidity.
func (a *Authority) IssueDevice(id string, properties map[string]string, validity time.Duration) (Issued, error) {
	if !validDeviceID(id) {
		return Issued{}, fmt.Errorf("issue device certificate: id %.80q: use 1 to %d letters, digits and .-_:@~=", id, maxNameLength)
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: id},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if validName(id) {
		template.URIs = append(template.URIs, &url.URL{Scheme: "spiffe", Host: a.domain, Path: "/device/" + id})
	}
	if len(properties) > 0 {
		uri, err := propertyURI(properties)
		if err != nil {
			return Issued{}, fmt.Errorf("issue device certificate for %s: %w", id, err)
		}
		template.URIs = append(template.URIs, uri)
	}
	issued, err := a.signECDSA(template, validity)
	if err != nil {
		return Issued{}, fmt.Errorf("issue device certificate for %s: %w", id, err)
	}
	return issued, nil
}

// validDNSName is RFC 1123 section 2.1, with a leading wildcard label.
func validDNSName(s string) bool {
	s = strings.TrimPrefix(s, "*.")
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			!onlyNameBytes(label) {
			return false
		}
	}
	return true
}
