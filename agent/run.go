package agent

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tidegate/tidegate/agent/config"
	"github.com/tidegate/tidegate/gossip"
)

// Run is the life of an agent as a process: start, serve until ctx ends, drain
// within the configured time, close. A value on reload is a call of Reload.
func Run(ctx context.Context, cfg *config.Config, opts Options, reload <-chan struct{}) error {
	a, err := onceThereIsNetwork(ctx, opts.Logger, func() (*Agent, error) { return New(ctx, cfg, opts) })
	if err != nil || a == nil {
		return err
	}
	defer a.Close()
	if err := a.Start(ctx); err != nil {
		return err
	}
	for {
		select {
		case <-reload:
			a.Reload()
		case <-ctx.Done():
			soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.DrainTimeout)
			defer cancel()
			if err := a.Drain(soon); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				a.log.Warn("drain", "error", err)
			}
			return nil
		}
	}
}

// networkEvery is how often an address to tell others is looked for.
const networkEvery = time.Second

// onceThereIsNetwork makes an agent as soon as the machine has an address that
// others can be told; nil when ctx ends before.
func onceThereIsNetwork(ctx context.Context, log *slog.Logger, make func() (*Agent, error)) (*Agent, error) {
	for said := false; ; said = true {
		a, err := make()
		if !errors.Is(err, config.ErrNoAddress) {
			return a, err
		}
		if log != nil && !said {
			log.Warn("waiting for the network", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(networkEvery):
		}
	}
}

// Reload loads the policy file, the certificates with their authorities, and the
// list of refused peers again; whoever is on the latter now loses its connections,
// and so does a device of an authority that is gone. What is at fault is logged and stays as it was.
func (a *Agent) Reload() {
	a.policies.reload()
	if err := a.reloadDenied(); err != nil {
		a.log.Error("configuration not read again, the list of refused peers stays", "error", err)
	}
	if a.passwords != nil {
		if err := a.reloadPasswords(); err != nil {
			a.log.Error("passwords not reloaded, the old ones stay", "error", err)
		}
	}
	if a.jwks != nil {
		if err := a.jwks.Reload(context.Background()); err != nil {
			a.log.Error("keys of tokens not reloaded, the old ones stay", "error", err)
		}
	}
	if err := a.reloadMesh(); err != nil {
		a.log.Error("mesh certificate not reloaded, the old one stays", "error", err)
	}
	if err := a.reloadEdge(); err != nil {
		a.log.Error("edge certificate not reloaded, the old one stays", "error", err)
	}
}

// reloadEdge loads the edge's certificate, the authorities of devices and what
// they took back. Connections that are not good by these are closed.
func (a *Agent) reloadEdge() error {
	id, err := a.cfg.TLS.Edge.Load()
	if err != nil {
		return err
	}
	if now := a.edgeTLS.Load(); bytes.Equal(now.CAPEM, id.CAPEM) {
		id.Pool = now.Pool // so that certificates need not be verified again
	}
	a.edgeTLS.Store(id)
	a.edge.Expel()
	return nil
}

func (a *Agent) reloadDenied() error {
	if a.opts.Reread == nil {
		return nil
	}
	cfg, err := a.opts.Reread()
	if err != nil {
		return err
	}
	a.denied.set(cfg.TLS.Mesh.Deny)
	return nil
}

func (a *Agent) reloadMesh() error {
	id, err := a.cfg.TLS.Mesh.Load()
	if err != nil {
		return err
	}
	if id.Peer != a.self {
		return fmt.Errorf("%w: the new certificate names %s, this agent is %s", config.ErrInvalid, id.Peer, a.self)
	}
	if err := a.creds.Reload(id.CertPEM, id.KeyPEM, id.CAPEM); err != nil {
		return err
	}
	return a.gossip.SetSigner(gossip.Signer{
		CertDER: id.Certificate.Certificate[0],
		Key:     id.Certificate.PrivateKey.(ed25519.PrivateKey),
	})
}

// Addresses as opened, for logs, tests and the development mesh.

// EdgeAddr is the advertised "host:port" for devices.
func (a *Agent) EdgeAddr() string { return a.sockets.edgeAdvertise }

// MeshAddr is the advertised "host:port" for peers.
func (a *Agent) MeshAddr() string { return a.sockets.meshAdvertise }

// AdminAddr is where the control API listens.
func (a *Agent) AdminAddr() string { return a.sockets.admin.Addr().String() }

// EgressAddr is where local services call the mesh; empty when it is off.
func (a *Agent) EgressAddr() string {
	if a.sockets.egress == nil {
		return ""
	}
	return a.sockets.egress.Addr().String()
}

func (a *Agent) readyURL() string {
	if a.sockets.ready == nil {
		return ""
	}
	return "http://" + a.sockets.ready.Addr().String() + "/readyz"
}
