package edge

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/tidegate/tidegate/policy"
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
