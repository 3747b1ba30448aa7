package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"
)

func TestAuthoritySurvivesItsFiles(t *testing.T) {
	a := newTestAuthority(t)
	key, err := a.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	b, err := LoadAuthority(a.CertPEM(), key)
	if err != nil || b.TrustDomain() != testDomain || !bytes.Equal(a.CertPEM(), b.CertPEM()) {
		t.Fatal(b, err)
	}
	cert := issued(t)(b.IssueMesh("eu", "a", 0))
	if _, _, _, err := VerifyCertificate(cert.Certificate[0], a.Pool(), testDomain, time.Time{}); err != nil {
		t.Error(err)
	}
	otherKey, _ := newTestAuthority(t).KeyPEM()
	leaf, _ := a.IssueMesh("eu", "a", 0)
	for name, pems := range map[string][2][]byte{
		"key of another": {a.CertPEM(), otherKey},
		"a leaf":         {leaf.CertPEM, leaf.KeyPEM},
		"torn":           {a.CertPEM()[:50], key},
		"no key":         {a.CertPEM(), a.CertPEM()},
	} {
		if _, err := LoadAuthority(pems[0], pems[1]); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestEdgeCertificateServesStockClients(t *testing.T) {
	a := newTestAuthority(t)
	server := issued(t)(a.IssueEdge([]string{"edge.test", "*.iot.test", "127.0.0.1", "::1"}, 0))
	for _, name := range []string{"edge.test", "d1.iot.test", "127.0.0.1", "::1"} {
		near, far := net.Pipe()
		done := make(chan error, 1)
		go func() { done <- tls.Server(far, &tls.Config{Certificates: []tls.Certificate{*server}}).Handshake() }()
		err := tls.Client(near, &tls.Config{ServerName: name, RootCAs: a.Pool(), MaxVersion: tls.VersionTLS12}).HandshakeContext(context.Background())
		near.Close()
		if err != nil || <-done != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAuthorityRefusesBadNames(t *testing.T) {
	a := newTestAuthority(t)
	for name, issue := range map[string]func() (Issued, error){
		"region with a slash": func() (Issued, error) { return a.IssueMesh("eu/agent", "a", 0) },
		"empty agent":         func() (Issued, error) { return a.IssueMesh("eu", "", 0) },
		"no edge names":       func() (Issued, error) { return a.IssueEdge(nil, 0) },
		"edge name, spaces":   func() (Issued, error) { return a.IssueEdge([]string{"a b"}, 0) },
		"device, slash":       func() (Issued, error) { return a.IssueDevice("a/b", nil, 0) },
		"property name":       func() (Issued, error) { return a.IssueDevice("d", map[string]string{"A-b": "x"}, 0) },
		"property value":      func() (Issued, error) { return a.IssueDevice("d", map[string]string{"a": "x\n"}, 0) },
	} {
		if _, err := issue(); err == nil {
			t.Errorf("%s: issued", name)
		}
	}
	if _, err := NewAuthority("x", "Not A Domain", 0); err == nil {
		t.Error("bad trust domain accepted")
	}
}

func TestCertificateDoesNotOutliveItsAuthority(t *testing.T) {
	a := newTestAuthority(t) // one hour
	cert := issued(t)(a.IssueMesh("eu", "a", 48*time.Hour))
	if cert.Leaf.NotAfter.After(a.cert.NotAfter) {
		t.Error("outlives", cert.Leaf.NotAfter)
	}
}
