package transport

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/url"
	"reflect"
	"testing"
	"time"
)

func issued(t testing.TB) func(Issued, error) *tls.Certificate {
	return func(i Issued, err error) *tls.Certificate {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		cert, err := i.TLS()
		if err != nil {
			t.Fatal(err)
		}
		return &cert
	}
}

// chainOf is what a server sees of a client with this certificate.
func chainOf(cert *tls.Certificate) []*x509.Certificate { return []*x509.Certificate{cert.Leaf} }

func TestMeshCertificateNamesRegionAndAgent(t *testing.T) {
	a := newTestAuthority(t)
	cert := issued(t)(a.IssueMesh("eu-1", "a1", time.Hour))
	region, agent, pub, err := VerifyCertificate(cert.Certificate[0], a.Pool(), testDomain, time.Time{})
	if err != nil || region != "eu-1" || agent != "a1" || len(pub) == 0 {
		t.Fatal(region, agent, pub, err)
	}
}

func TestOnlyOwnMeshCertificatesArePeers(t *testing.T) {
	a, stranger := newTestAuthority(t), newTestAuthority(t)
	pair := issued(t)
	const a1 = "spiffe://mesh.test/region/eu-1/agent/a1"
	if _, _, _, err := VerifyCertificate(forge(t, a, a1).Certificate[0], a.Pool(), testDomain, time.Time{}); err != nil {
		t.Fatalf("what the others differ from: %v", err)
	}
	authority := forged(t, a1)
	authority.IsCA = true
	for name, c := range map[string]struct {
		cert   *tls.Certificate
		domain string
	}{
		"device":                {pair(a.IssueDevice("d1", nil, 0)), testDomain},
		"edge server":           {pair(a.IssueEdge([]string{"edge.test"}, 0)), testDomain},
		"other authority":       {pair(stranger.IssueMesh("eu-1", "a1", 0)), testDomain},
		"other trust domain":    {pair(a.IssueMesh("eu-1", "a1", 0)), "other.test"},
		"expired":               {pair(a.IssueMesh("eu-1", "a1", 1)), testDomain},
		"two identities":        {forge(t, a, a1, "spiffe://mesh.test/region/eu-2/agent/a1"), testDomain},
		"mesh and device":       {forge(t, a, a1, "spiffe://mesh.test/device/d"), testDomain},
		"signs with ECDSA":      {pair(a.signECDSA(forged(t, a1), time.Hour)), testDomain},
		"an authority's own":    {pair(a.signEd25519(authority, time.Hour)), testDomain},
		"upper-case the domain": {forge(t, a, "spiffe://MESH.test/region/eu-1/agent/a1"), testDomain},
	} {
		if _, _, _, err := VerifyCertificate(c.cert.Certificate[0], a.Pool(), c.domain, time.Time{}); !errors.Is(err, ErrIdentity) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, _, err := VerifyCertificate([]byte("nonsense"), a.Pool(), testDomain, time.Time{}); !errors.Is(err, ErrIdentity) {
		t.Errorf("nonsense: %v", err)
	}
	if _, _, _, err := VerifyCertificate(pair(a.IssueMesh("eu-1", "a1", 0)).Certificate[0], nil, testDomain, time.Time{}); !errors.Is(err, ErrIdentity) {
		t.Errorf("no authorities: %v", err)
	}
}

// forge has the authority sign any URI SANs, with a key that is good for reports.
func forge(t testing.TB, a *Authority, uris ...string) *tls.Certificate {
	t.Helper()
	return issued(t)(a.signEd25519(forged(t, uris...), time.Hour))
}

func forged(t testing.TB, uris ...string) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "forged"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for _, uri := range uris {
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, u)
	}
	return template
}

func TestDeviceIsNamedWithItsProperties(t *testing.T) {
	a := newTestAuthority(t)
	want := map[string]string{"tenant": "acme & söhne", "type": "meter", "fw": "1.2"}
	for _, id := range []string{"sensor-1", "urn:dev:1"} {
		device, err := VerifyDevice(chainOf(issued(t)(a.IssueDevice(id, want, 0))), a.Pool(), testDomain, nil, time.Time{})
		if err != nil || device.ID != id || !reflect.DeepEqual(device.Properties, want) {
			t.Errorf("%s: got %+v, %v", id, device, err)
		}
	}
}

func TestOnlyDeviceCertificatesAreDevices(t *testing.T) {
	a, stranger := newTestAuthority(t), newTestAuthority(t)
	pair := issued(t)
	for name, cert := range map[string]*tls.Certificate{
		"mesh":               pair(a.IssueMesh("eu-1", "a1", 0)),
		"edge server":        pair(a.IssueEdge([]string{"edge.test"}, 0)),
		"other authority":    pair(stranger.IssueDevice("d1", nil, 0)),
		"expired":            pair(a.IssueDevice("d1", nil, 1)),
		"other trust domain": forge(t, a, "spiffe://other.test/device/d1"),
		"device and mesh":    forge(t, a, "spiffe://mesh.test/device/d1", "spiffe://mesh.test/region/eu/agent/a"),
		"bad property":       forge(t, a, "spiffe://mesh.test/device/d1", "tidegate:device?Tenant=x"),
	} {
		if d, err := VerifyDevice(chainOf(cert), a.Pool(), testDomain, nil, time.Time{}); !errors.Is(err, ErrIdentity) {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
	if _, err := VerifyDevice(nil, a.Pool(), testDomain, nil, time.Time{}); !errors.Is(err, ErrIdentity) {
		t.Errorf("no certificate: %v", err)
	}
}

func TestCredentialsAreReplacedWholeOrNotAtAll(t *testing.T) {
	a := newTestAuthority(t)
	c := meshCredentials(t, a, "eu-1", "a1")
	before := c.Certificate()
	other, _ := a.IssueMesh("eu-2", "a1", 0)
	device, _ := a.IssueDevice("d1", nil, 0)
	good, _ := a.IssueMesh("eu-1", "a1", 0)
	for name, pems := range map[string][3][]byte{
		"another region's": {other.CertPEM, other.KeyPEM, a.CertPEM()},
		"a device's":       {device.CertPEM, device.KeyPEM, a.CertPEM()},
		"wrong key":        {good.CertPEM, other.KeyPEM, a.CertPEM()},
		"no authority":     {good.CertPEM, good.KeyPEM, []byte("torn")},
		"not covered":      {good.CertPEM, good.KeyPEM, newTestAuthority(t).CertPEM()},
	} {
		if err := c.Reload(pems[0], pems[1], pems[2]); err == nil || c.Certificate() != before {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := c.Reload(good.CertPEM, good.KeyPEM, a.CertPEM()); err != nil || c.Certificate() == before {
		t.Errorf("good: %v", err)
	}
}
