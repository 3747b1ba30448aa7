package transport

import (
	"crypto/x509"
	"time"
)

// recheckEvery is how often the peers of open connections are checked again.
const recheckEvery = 250 * time.Millisecond

// pulseLoop looks at every connection once a pulse: who was heard, which ones
// are silent, whose peer is not welcome any more.
func (m *Mesh) pulseLoop() {
	ticker := time.NewTicker(m.timing.pulse)
	defer ticker.Stop()
	p := pulse{mesh: m, last: time.Now(), checked: time.Now(), authorities: m.cfg.Credentials.Authorities()}
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-ticker.C:
			now := time.Now()
			p.beat(now)
			m.cfg.Probes.Tick(now)
		}
	}
}

type pulse struct {
	mesh        *Mesh
	conns       []*tracked
	last        time.Time
	checked     time.Time
	authorities *x509.CertPool
}

func (p *pulse) beat(now time.Time) {
	elapsed := p.elapsed(now)
	clear(p.conns)
	p.conns = p.mesh.snapshot(p.conns[:0])
	for _, t := range p.conns {
		if !t.advance(elapsed) && t.silence > 0 && t.quiet > max(t.silence, t.wire.patience()) {
			p.mesh.cfg.Logger.Warn("mesh connection is silent: closed", "peer", t.peer.String(), "silent", t.quiet)
			p.mesh.wg.Go(func() { t.close(errSilent) })
		}
	}
	tunnels := p.mesh.tunnels.Load().byPeer
	for peer, k := range p.mesh.probes.Load().byPeer {
		probe, tunnel := k.answeredSince(), tunnels[peer].answeredSince()
		if probe || tunnel {
			p.mesh.cfg.Probes.Heard(peer, now)
		}
	}
	if now.Sub(p.checked) >= recheckEvery {
		p.checked = now
		p.revoke(p.mesh.cfg.Now())
		p.retire()
	}
}

// retire stops using tunnels whose peer said goodbye while nothing was sent.
func (p *pulse) retire() {
	for _, t := range p.conns {
		if t.tunnel != nil && t.tunnel.Live() && t.wire.refusing() {
			t.tunnel.retire()
		}
	}
}

// elapsed is the time since the last beat; time in which this process stalled
// is nobody's silence.
func (p *pulse) elapsed(now time.Time) time.Duration {
	gap := now.Sub(p.last)
	p.last = now
	return min(gap, 2*p.mesh.timing.pulse)
}

func (t *tracked) advance(elapsed time.Duration) bool {
	received := t.wire.received()
	if received == t.received {
		t.quiet += elapsed
		return false
	}
	t.received = received
	t.quiet = 0
	return true
}

// revoke closes the connections of peers that are denied, whose certificate
// ran out, or whom new credentials do not cover.
func (p *pulse) revoke(now time.Time) {
	authorities := p.mesh.cfg.Credentials.Authorities()
	replaced := authorities != p.authorities
	p.authorities = authorities
	for _, t := range p.conns {
		bad := now.After(t.chain[0].NotAfter) || p.mesh.cfg.Deny(t.peer)
		if !bad && replaced {
			_, err := p.mesh.verifyPeer(t.chain, x509.ExtKeyUsageAny)
			bad = err != nil
		}
		if bad {
			p.mesh.cfg.Logger.Warn("mesh peer is not accepted any more: connection closed", "peer", t.peer.String())
			p.mesh.metrics.refused("revoked")
			p.mesh.wg.Go(func() { t.close(errRevoked) })
		}
	}
}
