package edge

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/quic-go/quic-go/http3"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

// revoking is an edge that asks for certificates, and revokes the device that is
// stored.
func revoking(t *testing.T, handler http.HandlerFunc) (*bench, *atomic.Value) {
	var revoked atomic.Value
	revoked.Store("")
	b := newBench(t, handler, func(c *Config) {
		c.ClientAuth = Required
		c.Revoked = func(d policy.Device) bool { return d.ID == revoked.Load() }
	})
	return b, &revoked
}

func TestRevokedDevicesOpenNoConnectionAndOthersStay(t *testing.T) {
	b, revoked := revoking(t, whoAmI)
	revoked.Store("meter-1")
	each(t, protocols, func(t *testing.T, proto string) {
		if rsp, err := b.client(t, proto, b.device(t, "meter-1")).Get(url("/")); err == nil {
			rsp.Body.Close()
			t.Error("a revoked device is served")
		}
		if _, body := get(t, b.client(t, proto, b.device(t, "meter-2")), "/"); body != "meter-2 acme true" {
			t.Errorf("the handler saw %q", body)
		}
	})
	if got := b.refused(reasonRevoked); got < 3 {
		t.Errorf("%v counted", got)
	}
}

func TestExpelEndsConnectionsAndWhatIsUnderWay(t *testing.T) {
	each(t, protocols, func(t *testing.T, proto string) {
		arrived, done := make(chan struct{}, 2), make(chan struct{})
		b, revoked := revoking(t, func(w http.ResponseWriter, r *http.Request) {
			arrived <- struct{}{}
			select {
			case <-r.Context().Done():
			case <-done:
			}
			whoAmI(w, r)
		})
		ends := func(id string) chan error {
			client, end := b.client(t, proto, b.device(t, id)), make(chan error, 1)
			go func() {
				rsp, err := client.Get(url("/"))
				if err == nil {
					rsp.Body.Close()
				}
				end <- err
			}()
			<-arrived
			return end
		}
		bad, good := ends("meter-1"), ends("meter-2")
		if n := b.Expel(); n != 0 {
			t.Errorf("%d connections closed, nobody is revoked", n)
		}
		revoked.Store("meter-1")
		if n := b.Expel(); n != 1 {
			t.Errorf("%d connections closed, want 1", n)
		}
		if err := <-bad; err == nil {
			t.Error("a request of a revoked device was answered")
		}
		close(done)
		if err := <-good; err != nil {
			t.Errorf("another device's request: %v", err)
		}
		eventually(t, "the closed connection is forgotten", func() bool { return len(b.open()) == 1 })
	})
}

// again is a client of the next connection of a device that kept its sessions;
// it notes whether that resumed one.
func (b *bench) again(t *testing.T, proto string, conf *tls.Config, resumed *atomic.Bool) *http.Client {
	client := b.client(t, proto)
	conf = conf.Clone()
	conf.VerifyConnection = func(cs tls.ConnectionState) error {
		resumed.Store(cs.DidResume)
		return nil
	}
	switch tr := client.Transport.(type) {
	case *http.Transport:
		tr.TLSClientConfig = conf
	case *http3.Transport:
		tr.TLSClientConfig = conf
	}
	return client
}

// Who was revoked while away has no use of its session.
func TestSessionsOfWhoIsRevokedAreNotResumed(t *testing.T) {
	for what, by := range map[string]func(*Config, *atomic.Bool){
		"device": func(c *Config, gone *atomic.Bool) { c.Revoked = func(policy.Device) bool { return gone.Load() } },
		"certificate": func(c *Config, gone *atomic.Bool) {
			c.RevokedCertificate = func(*x509.Certificate) bool { return gone.Load() }
		},
		"authority": func(c *Config, gone *atomic.Bool) {
			before, after := c.ClientCAs(), newAuthority(t).Pool()
			c.ClientCAs = func() *x509.CertPool {
				if gone.Load() {
					return after
				}
				return before
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			each(t, protocols, func(t *testing.T, proto string) {
				var gone, resumed atomic.Bool
				b := newBench(t, whoAmI, func(c *Config) {
					c.ClientAuth = Required
					by(c, &gone)
				})
				conf := b.clientTLS(b.device(t, "meter-1"))
				conf.ClientSessionCache = tls.NewLRUClientSessionCache(4)
				for _, want := range []bool{false, true} {
					client := b.again(t, proto, conf, &resumed)
					if _, body := get(t, client, "/"); body != "meter-1 acme true" || resumed.Load() != want {
						t.Fatalf("the handler saw %q, resumed %v, want %v", body, resumed.Load(), want)
					}
					client.CloseIdleConnections()
				}
				gone.Store(true)
				if rsp, err := b.again(t, proto, conf, &resumed).Get(url("/")); err == nil {
					rsp.Body.Close()
					t.Errorf("served, resumed %v", resumed.Load())
				}
				if what != "authority" && !resumed.Load() { // crypto/tls itself resumes nothing of an authority that is gone
					t.Error("no session was tried: the test shows nothing")
				}
			})
		})
	}
}

// rotating is an edge whose authorities are those that are stored.
func rotating(current *atomic.Pointer[x509.CertPool]) func(*Config) {
	return func(c *Config) {
		c.ClientAuth = Required
		current.Store(c.ClientCAs())
		c.ClientCAs = current.Load
	}
}

func TestExpelEndsTheConnectionsOfAnAuthorityThatIsGone(t *testing.T) {
	var current atomic.Pointer[x509.CertPool]
	b, _ := newMQTTBench(t, rotating(&current))
	next := newAuthority(t)
	newer := must[tls.Certificate](t)(must[transport.Issued](t)(next.IssueDevice("meter-2", nil, 0)).TLS())
	both := func() *x509.CertPool {
		pool := b.authority.Pool()
		pool.AppendCertsFromPEM(next.CertPEM())
		return pool
	}
	each(t, protocols, func(t *testing.T, proto string) {
		current.Store(both())
		get(t, b.client(t, proto, b.device(t, "meter-1")), "/")
		staying := b.client(t, proto, newer)
		get(t, staying, "/")
		if n := b.Expel(); n != 0 {
			t.Errorf("%d connections closed while both count", n)
		}
		current.Store(next.Pool())
		if n := b.Expel(); n != 1 {
			t.Errorf("%d connections closed, want that of the older authority", n)
		}
		eventually(t, "one is left", func() bool { return len(b.open()) == 1 })
		get(t, staying, "/")
		staying.CloseIdleConnections()
		eventually(t, "none is left", func() bool { return len(b.open()) == 0 })
	})
	each(t, mqttLinks, func(t *testing.T, kind string) {
		current.Store(both())
		conn := b.dialMQTT(t, kind)
		defer conn.Close()
		exchangeMQTT(t, conn, mqttConnect, mqttConnack)
		current.Store(next.Pool())
		if n := b.Expel(); n != 1 {
			t.Errorf("%d connections", n)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Errorf("not ended: %v", err)
		}
		eventually(t, "it is forgotten", func() bool { return b.Connections() == 0 })
	})
}

// An authority that goes while a device shakes hands is found, whoever looks
// first.
func TestAnAuthorityThatGoesDuringTheHandshakeOpensNothing(t *testing.T) {
	each(t, protocols, func(t *testing.T, proto string) {
		var current atomic.Pointer[x509.CertPool]
		after := newAuthority(t).Pool()
		b := newBench(t, hello, func(c *Config) {
			rotating(&current)(c)
			c.Revoked = func(policy.Device) bool { // asked once the chain was found good
				current.Store(after)
				return false
			}
		})
		if rsp, err := b.client(t, proto, b.device(t, "d1")).Get(url("/")); err == nil {
			t.Errorf("answered %d", rsp.StatusCode)
		}
	})
}
