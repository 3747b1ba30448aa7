package transport

import (
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRevocationLists(t *testing.T) {
	first, second := newAuthorityNamed(t, "first"), newAuthorityNamed(t, "second")
	cert := func(a *Authority) ([]byte, *x509.Certificate) {
		issued, err := a.IssueDevice("d1", nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parseCertificates(issued.CertPEM)
		if err != nil {
			t.Fatal(err)
		}
		return issued.CertPEM, parsed[0]
	}
	badPEM, bad := cert(first)
	_, good := cert(first)
	otherPEM, other := cert(second)
	list := func(a *Authority, certs ...[]byte) []byte {
		raw, err := a.Revoke(certs, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	both := slices.Concat(first.CertPEM(), second.CertPEM())
	l, err := ParseRevocationLists(slices.Concat(list(first, badPEM), list(second, otherPEM)), both)
	if err != nil {
		t.Fatal(err)
	}
	if !l.Revoked(bad) || !l.Revoked(other) || l.Revoked(good) || len(l.revoked) != 2 {
		t.Errorf("%+v", l)
	}
	if left := time.Until(l.NextUpdate()); left < 59*time.Minute || left > time.Hour {
		t.Errorf("next update in %s", left)
	}
	block, _ := pem.Decode(list(first, badPEM))
	if l, err := ParseRevocationLists(block.Bytes, first.CertPEM()); err != nil || !l.Revoked(bad) || l.Revoked(other) {
		t.Errorf("in DER: %+v, %v", l, err)
	}
	if (*RevocationList)(nil).Revoked(bad) {
		t.Error("no list revokes")
	}
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"of a stranger":   {list(second, otherPEM), "signed by none"},
		"a certificate":   {badPEM, "want X509 CRL"},
		"neither":         {[]byte("no list"), "revocation list"},
		"empty":           {nil, "revocation list"},
		"cut":             {block.Bytes[:len(block.Bytes)-3], "revocation list"},
		"one is at fault": {slices.Concat(list(first), list(second)), "signed by none"},
	} {
		if l, err := ParseRevocationLists(c.raw, first.CertPEM()); err == nil || !strings.Contains(err.Error(), c.want) || l != nil {
			t.Errorf("%s: %v, %v", name, l, err)
		}
	}
	if _, err := first.Revoke([][]byte{otherPEM}, 0); err == nil {
		t.Error("revoked another's certificate")
	}
}

func newAuthorityNamed(t *testing.T, name string) *Authority {
	t.Helper()
	a, err := NewAuthority(name, "test.domain", 0)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
