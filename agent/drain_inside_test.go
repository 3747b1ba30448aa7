package agent

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/catalog"
	"github.com/tidegate/tidegate/agent/config"
	"github.com/tidegate/tidegate/gossip"
	"github.com/tidegate/tidegate/transport"
)

// slowCatalog takes until release to register, and says what it was asked last.
type slowCatalog struct {
	catalog.Catalog
	registering, release, deregistered chan struct{}
	registered                         bool
}

func (c *slowCatalog) Register(context.Context, catalog.Self) error {
	close(c.registering)
	<-c.release
	c.registered = true
	return nil
}

func (c *slowCatalog) Deregister(context.Context) error {
	c.registered = false
	close(c.deregistered)
	return nil
}

// unstartedGossip takes what it is told and tells nobody.
func unstartedGossip(t *testing.T) *gossip.Mesh {
	t.Helper()
	authority, err := transport.NewAuthority("test", "mesh.test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := authority.IssueMesh("eu-1", "a1", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := issued.TLS()
	if err != nil {
		t.Fatal(err)
	}
	key := cert.PrivateKey.(ed25519.PrivateKey)
	m, err := gossip.New(gossip.Config{
		Name: "a1", Region: "eu-1", Insecure: true, LAN: gossip.Bind{Addr: "127.0.0.1:0"}, WAN: gossip.Bind{Addr: "127.0.0.1:0"},
		Signer: gossip.Signer{CertDER: cert.Certificate[0], Key: key},
		Verify: func([]byte) (string, string, ed25519.PublicKey, error) {
			return "eu-1", "a1", key.Public().(ed25519.PublicKey), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestADrainWaitsForTheEndOfItsOpposite(t *testing.T) {
	a := handling(t, benchPolicy, http.NotFoundHandler())
	c := &slowCatalog{registering: make(chan struct{}), release: make(chan struct{}), deregistered: make(chan struct{})}
	a.cfg, a.log, a.catalog = &config.Config{Name: "a1", Region: "eu-1"}, slog.New(slog.DiscardHandler), c
	a.sockets, a.gossip = &sockets{meshAdvertise: "127.0.0.1:1", edgeAdvertise: "127.0.0.1:2"}, unstartedGossip(t)
	a.draining.Store(true)
	var both sync.WaitGroup
	both.Go(func() { a.turn(t.Context(), false, 0) })
	<-c.registering
	both.Go(func() { a.turn(t.Context(), true, 0) })
	select {
	case <-c.deregistered:
		t.Error("deregistered in the middle of registering")
	case <-time.After(100 * time.Millisecond):
	}
	close(c.release)
	both.Wait()
	if !a.draining.Load() || c.registered {
		t.Errorf("draining %v, registered %v after a drain that came last", a.draining.Load(), c.registered)
	}
}
