package transport

import (
	"testing"
	"time"
)

// A certificate is checked at the handshake; a tunnel may outlive it.
func TestTunnelEndsWhenThePeersCertificateRunsOut(t *testing.T) {
	a := newTestAuthority(t)
	eu, us := startSite(t, a, "eu-1", "a"), startSite(t, a, "us-1", "b")
	tunnel := tunnelTo(t, eu, us)
	p := pulse{mesh: eu.Mesh, conns: eu.snapshot(nil), authorities: eu.cfg.Credentials.Authorities()}
	p.revoke(us.cfg.Credentials.Certificate().Leaf.NotAfter.Add(time.Second))
	select {
	case <-tunnel.wire.done():
	case <-time.After(2 * time.Second):
		t.Fatal("the tunnel outlives the certificate")
	}
}
