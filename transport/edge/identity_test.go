package edge

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

func whoAmI(w http.ResponseWriter, r *http.Request) {
	d, ok := DeviceFrom(r.Context())
	fmt.Fprint(w, d.ID, " ", d.Properties["tenant"], " ", ok)
}

func demand(a ClientAuth) func(*Config) { return func(c *Config) { c.ClientAuth = a } }

func TestCertificateNamesTheDevice(t *testing.T) {
	b := newBench(t, whoAmI, demand(Required))
	each(t, protocols, func(t *testing.T, proto string) {
		client := b.client(t, proto, b.device(t, "meter-1"))
		for range 2 {
			if _, body := get(t, client, "/"); body != "meter-1 acme true" {
				t.Fatalf("the handler saw %q", body)
			}
		}
	})
}

func TestDeviceIsUnknownWithoutACertificate(t *testing.T) {
	b := newBench(t, whoAmI, demand(Optional))
	each(t, protocols, func(t *testing.T, proto string) {
		if _, body := get(t, b.client(t, proto), "/"); body != "  false" {
			t.Fatalf("the handler saw %q", body)
		}
	})
}

func TestWrongCertificatesOpenNoConnection(t *testing.T) {
	for _, auth := range []ClientAuth{Optional, Required} {
		b := newBench(t, hello, demand(auth))
		mesh := must[tls.Certificate](t)(must[transport.Issued](t)(b.authority.IssueMesh("eu-1", "a", 0)).TLS())
		server := must[tls.Certificate](t)(must[transport.Issued](t)(b.authority.IssueEdge([]string{"x"}, 0)).TLS())
		foreign := must[tls.Certificate](t)(must[transport.Issued](t)(newAuthority(t).IssueDevice("meter-1", nil, 0)).TLS())
		itself := must[tls.Certificate](t)(tls.X509KeyPair(b.authority.CertPEM(), must[[]byte](t)(b.authority.KeyPEM())))
		certs := map[string][]tls.Certificate{"mesh": {mesh}, "server": {server}, "foreign": {foreign}, "authority": {itself}}
		if auth == Required {
			certs["none"] = nil
		}
		for name, list := range certs {
			each(t, protocols, func(t *testing.T, proto string) {
				rsp, err := b.client(t, proto, list...).Get(url("/"))
				if err == nil {
					rsp.Body.Close()
					t.Fatalf("%s certificate, demand %d: served", name, auth)
				}
			})
		}
	}
}

func TestCertificateIsIdentifiedOnceAConnection(t *testing.T) {
	var calls atomic.Int64
	b := newBench(t, whoAmI, func(c *Config) {
		c.ClientAuth = Required
		c.Identify = func(cs tls.ConnectionState, r *http.Request) (policy.Device, error) {
			calls.Add(1)
			return policy.Device{ID: cs.PeerCertificates[0].Subject.CommonName}, nil
		}
	})
	client := b.client(t, "h3", b.device(t, "meter-1"))
	for range 3 {
		if _, body := get(t, client, "/"); body != "meter-1  true" {
			t.Fatalf("the handler saw %q", body)
		}
	}
	if calls.Load() != 1 {
		t.Fatalf("identified %d times, want once", calls.Load())
	}
}

func TestTokenIsIdentifiedForEveryRequest(t *testing.T) {
	b := newBench(t, whoAmI, func(c *Config) {
		c.Identify = func(_ tls.ConnectionState, r *http.Request) (policy.Device, error) {
			token := r.Header.Get("Authorization")
			if token == "" {
				return policy.Device{}, errors.New("no token: secret detail")
			}
			return policy.Device{ID: token}, nil
		}
	})
	each(t, protocols, func(t *testing.T, proto string) {
		client := b.client(t, proto)
		for _, token := range []string{"a", "b"} {
			req := must[*http.Request](t)(http.NewRequest("GET", url("/"), nil))
			req.Header.Set("Authorization", token)
			rsp := must[*http.Response](t)(client.Do(req))
			if got := readAll(t, rsp); got != token+"  true" {
				t.Fatalf("the handler saw %q", got)
			}
		}
		rsp, body := get(t, client, "/")
		expectProblem(t, rsp, body, http.StatusUnauthorized)
		if rsp.Header.Get("WWW-Authenticate") == "" {
			t.Error("401 without WWW-Authenticate")
		}
	})
	if got := b.refused(reasonIdentity); got != 3 {
		t.Fatalf("%v refusals counted, want 3", got)
	}
}

func TestRefusedCertificateIsForbiddenUntilItIsNot(t *testing.T) {
	var known atomic.Bool
	b := newBench(t, whoAmI, func(c *Config) {
		c.ClientAuth = Required
		c.Identify = func(tls.ConnectionState, *http.Request) (policy.Device, error) {
			if !known.Load() {
				return policy.Device{}, errors.New("denied")
			}
			return policy.Device{ID: "meter-1"}, nil
		}
	})
	client := b.client(t, "h3", b.device(t, "meter-1"))
	rsp, body := get(t, client, "/")
	expectProblem(t, rsp, body, http.StatusForbidden)
	known.Store(true)
	if _, body := get(t, client, "/"); body != "meter-1  true" {
		t.Fatalf("the handler saw %q", body)
	}
}

func TestIdentityHoldsOnResumedSessions(t *testing.T) {
	b := newBench(t, whoAmI, demand(Required))
	conf := b.clientTLS(b.device(t, "meter-1"))
	conf.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for _, resumed := range []bool{false, true} {
		client := b.client(t, "h1")
		client.Transport.(*http.Transport).TLSClientConfig = conf
		rsp, body := get(t, client, "/")
		if body != "meter-1 acme true" || rsp.TLS.DidResume != resumed {
			t.Fatalf("the handler saw %q, resumed %v", body, rsp.TLS.DidResume)
		}
		client.CloseIdleConnections()
	}
}

func TestAuthoritiesAreReplacedWhileServing(t *testing.T) {
	var current atomic.Pointer[x509.CertPool]
	b := newBench(t, whoAmI, func(c *Config) {
		c.ClientAuth = Required
		current.Store(c.ClientCAs())
		c.ClientCAs = current.Load
	})
	next := newAuthority(t)
	newer := must[tls.Certificate](t)(must[transport.Issued](t)(next.IssueDevice("meter-2", nil, 0)).TLS())
	older := b.device(t, "meter-1")
	served := func(t *testing.T, proto string, cert tls.Certificate) bool {
		rsp, err := b.client(t, proto, cert).Get(url("/"))
		if err != nil {
			return false
		}
		readAll(t, rsp)
		return rsp.StatusCode == http.StatusOK
	}
	both := b.authority.Pool()
	both.AppendCertsFromPEM(next.CertPEM())
	for _, c := range []struct {
		pool         *x509.CertPool
		older, newer bool
	}{{b.authority.Pool(), true, false}, {both, true, true}, {next.Pool(), false, true}} {
		current.Store(c.pool)
		each(t, protocols, func(t *testing.T, proto string) {
			if served(t, proto, older) != c.older || served(t, proto, newer) != c.newer {
				t.Fatalf("want the older authority's device served: %v, the newer one's: %v", c.older, c.newer)
			}
		})
	}
}

func TestSessionOfARemovedAuthorityIsNotResumed(t *testing.T) {
	var current atomic.Pointer[x509.CertPool]
	b := newBench(t, whoAmI, func(c *Config) {
		c.ClientAuth = Required
		current.Store(c.ClientCAs())
		c.ClientCAs = current.Load
	})
	conf := b.clientTLS(b.device(t, "meter-1"))
	conf.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	client := b.client(t, "h1")
	client.Transport.(*http.Transport).TLSClientConfig = conf
	get(t, client, "/")
	client.CloseIdleConnections()
	current.Store(newAuthority(t).Pool())
	if rsp, err := client.Get(url("/")); err == nil {
		rsp.Body.Close()
		t.Fatal("served")
	}
}

// A device that cannot be told for want of time is not told that it is wrong.
func TestBusyIsNotUnknown(t *testing.T) {
	b := newBench(t, whoAmI, func(c *Config) {
		c.Identify = func(tls.ConnectionState, *http.Request) (policy.Device, error) {
			return policy.Device{}, fmt.Errorf("%w: a test", transport.ErrBusy)
		}
	})
	each(t, protocols, func(t *testing.T, proto string) {
		rsp, _ := get(t, b.client(t, proto), "/")
		if rsp.StatusCode != http.StatusServiceUnavailable || rsp.Header.Get("Retry-After") == "" {
			t.Errorf("%d, %v", rsp.StatusCode, rsp.Header)
		}
	})
}

func TestACertificateThatFitsNoPatternIsRefusedAndCounted(t *testing.T) {
	names := must[*transport.DeviceNames](t)(transport.ParseDeviceNames(nil, []string{"{tenant}-{id}"}))
	b := newBench(t, whoAmI, func(c *Config) {
		c.ClientAuth = Required
		c.Names = names
	})
	each(t, protocols, func(t *testing.T, proto string) {
		if _, body := get(t, b.client(t, proto, b.device(t, "globex-m7")), "/"); body != "m7 globex true" {
			t.Errorf("the handler saw %q", body)
		}
		before := b.refused(reasonCertificate)
		if rsp, err := b.client(t, proto, b.device(t, "m7")).Get(url("/")); err == nil {
			rsp.Body.Close()
			t.Error("served")
		}
		if got := b.refused(reasonCertificate); got <= before {
			t.Error("not counted")
		}
	})
}
