package agent

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"

	"github.com/tidegate/tidegate/agent/config"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
	"github.com/tidegate/tidegate/transport/authhook"
	"github.com/tidegate/tidegate/transport/mqtt"
	"github.com/tidegate/tidegate/transport/password"
	"github.com/tidegate/tidegate/transport/token"
)

// makeIdentity opens what devices are known by.
func (a *Agent) makeIdentity() (err error) {
	i := a.cfg.Identity
	if a.names, err = i.Names(); err != nil {
		return fmt.Errorf("identity.certificate: %w: %w", config.ErrInvalid, err)
	}
	a.devToken = newSharedToken(i.DevToken.Reveal())
	if i.Passwords != "" {
		if a.passwords, err = password.Open(i.Passwords); err != nil {
			return fmt.Errorf("identity.passwords: %w: %w", config.ErrInvalid, err)
		}
	}
	if i.JWT != nil {
		if err := a.makeTokens(i.JWT); err != nil {
			return fmt.Errorf("identity.jwt: %w: %w", config.ErrInvalid, err)
		}
	}
	if i.Hook != nil {
		if err := a.makeHook(i.Hook); err != nil {
			return fmt.Errorf("identity.hook: %w: %w", config.ErrInvalid, err)
		}
	}
	return nil
}

func (a *Agent) makeTokens(j *config.JWT) (err error) {
	source := j.Source(filepath.Join(a.cfg.DataDir, "jwks.json"))
	source.Logger, source.Changed = a.log, a.expel
	if a.jwks, err = token.Open(source); err != nil {
		return err
	}
	a.tokens = token.NewVerifier(j.Claims(), a.jwks)
	return nil
}

// expel closes the connections of devices whose identity does not hold any more.
func (a *Agent) expel() {
	if a.edge != nil { // else there are none yet
		a.edge.Expel()
	}
}

// reloadPasswords reads them again; who was taken out loses its connections.
func (a *Agent) reloadPasswords() error {
	err := a.passwords.Reload()
	a.expel()
	return err
}

func (a *Agent) makeHook(h *config.Hook) error {
	cfg, err := h.Config()
	if err != nil {
		return err
	}
	cfg.Metrics = a.reg
	a.hook, err = authhook.New(cfg)
	return err
}

func (a *Agent) certified(cs tls.ConnectionState) (policy.Device, error) {
	return transport.VerifyDevice(cs.PeerCertificates, a.edgeTLS.Load().Pool, a.self.TrustDomain, a.names, a.conditions.Now())
}

// identifier tells the device behind a request; nil: by certificate alone.
func (a *Agent) identifier() func(tls.ConnectionState, *http.Request) (policy.Device, error) {
	if a.tokens == nil && a.passwords == nil && a.hook == nil && a.devToken == nil {
		return nil
	}
	return func(cs tls.ConnectionState, r *http.Request) (policy.Device, error) {
		if len(cs.PeerCertificates) > 0 {
			return a.certified(cs)
		}
		c := authhook.Credentials{Token: token.Bearer(r.Header.Get("Authorization")), Remote: hostOnly(r.RemoteAddr)}
		if c.Token == "" {
			c.Username, c.Password, _ = r.BasicAuth()
		}
		d, err := a.shown(r.Context(), c)
		if errors.Is(err, errUnchecked) {
			return policy.Device{}, nil // unknown: the policy says what is open to it
		}
		r.Header.Del("Authorization") // it was for the edge: services hear of the device
		return d, err
	}
}

// identifyMQTT does the same for CONNECT.
func (a *Agent) identifyMQTT(ctx context.Context, cs tls.ConnectionState, c mqtt.Credentials) (policy.Device, error) {
	if len(cs.PeerCertificates) > 0 {
		return a.certified(cs)
	}
	if c.Password == "" {
		return policy.Device{}, nil // unknown
	}
	shown := authhook.Credentials{Username: c.Username, Password: c.Password, ClientID: c.ClientID, Remote: hostOnly(c.Client.String())}
	if a.isToken(c) {
		shown.Username, shown.Password, shown.Token = "", "", c.Password
	}
	return a.shown(ctx, shown)
}

// isToken says whether a password of MQTT is a token, whatever the user name.
func (a *Agent) isToken(c mqtt.Credentials) bool {
	known := a.passwords != nil && a.passwords.Has(c.Username)
	return c.Username == "" || a.tokens != nil && !known && token.Looks(c.Password)
}

var errUnchecked = errors.New("nothing here can check what was shown")

// shown tells a device by what it shows, by the first that it can be for.
func (a *Agent) shown(ctx context.Context, c authhook.Credentials) (policy.Device, error) {
	switch {
	case a.devToken.is(cmp.Or(c.Token, c.Password)):
		return transport.NewDevice(cmp.Or(c.Username, devDevice), nil)
	case c.Token != "" && a.tokens != nil && (a.hook == nil || token.Looks(c.Token)):
		return a.tokens.Verify(a.conditions.Now(), c.Token)
	case c.Username != "" && a.passwords != nil && (a.hook == nil || a.passwords.Has(c.Username)):
		return a.passwords.Verify(ctx, c.Username, c.Password)
	case (c.Token != "" || c.Username != "") && a.hook != nil:
		return a.hook.Identify(c)
	case (c.Token != "" || c.Username != "") && a.devToken != nil:
		return policy.Device{}, errNotDevToken
	}
	return policy.Device{}, errUnchecked
}
