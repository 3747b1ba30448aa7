package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/tidegate/tidegate/agent/config"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
	"github.com/tidegate/tidegate/transport/mqtt"
	"github.com/tidegate/tidegate/transport/password"
	"github.com/tidegate/tidegate/transport/token"
)

// makeIdentity opens what devices are known by.
func (a *Agent) makeIdentity() (err error) {
	if a.names, err = a.cfg.Identity.Names(); err != nil {
		return fmt.Errorf("identity.certificate: %w: %w", config.ErrInvalid, err)
	}
	if path := a.cfg.Identity.Passwords; path != "" {
		if a.passwords, err = password.Open(path); err != nil {
			return fmt.Errorf("identity.passwords: %w: %w", config.ErrInvalid, err)
		}
	}
	j := a.cfg.Identity.JWT
	if j == nil {
		return nil
	}
	source := j.Source(filepath.Join(a.cfg.DataDir, "jwks.json"))
	source.Logger = a.log
	if a.jwks, err = token.Open(source); err != nil {
		return fmt.Errorf("identity.jwt: %w: %w", config.ErrInvalid, err)
	}
	a.tokens = token.NewVerifier(j.Claims(), a.jwks)
	return nil
}

func (a *Agent) certified(cs tls.ConnectionState) (policy.Device, error) {
	return transport.VerifyDevice(cs.PeerCertificates, a.edgeTLS.Load().Pool, a.self.TrustDomain, a.names)
}

// identifier tells the device behind a request; nil: by certificate alone.
func (a *Agent) identifier() func(tls.ConnectionState, *http.Request) (policy.Device, error) {
	if a.tokens == nil && a.passwords == nil {
		return nil
	}
	return func(cs tls.ConnectionState, r *http.Request) (policy.Device, error) {
		if len(cs.PeerCertificates) > 0 {
			return a.certified(cs)
		}
		// What is shown is for the edge: services hear of the device.
		if raw := token.Bearer(r.Header.Get("Authorization")); raw != "" && a.tokens != nil {
			r.Header.Del("Authorization")
			return a.tokens.Verify(time.Now(), raw)
		}
		if name, secret, ok := r.BasicAuth(); ok && a.passwords != nil {
			r.Header.Del("Authorization")
			return a.passwords.Verify(r.Context(), name, secret)
		}
		return policy.Device{}, nil // unknown: the policy says what is open to it
	}
}

var errNoPasswords = errors.New("a password was given, and nothing here can check it")

// identifyMQTT does the same for CONNECT: a password belongs to a user name that
// is in the file, or is a token.
func (a *Agent) identifyMQTT(ctx context.Context, cs tls.ConnectionState, c mqtt.Credentials) (policy.Device, error) {
	switch {
	case len(cs.PeerCertificates) > 0:
		return a.certified(cs)
	case c.Password == "":
		return policy.Device{}, nil // unknown
	case a.passwords != nil && (a.tokens == nil || a.passwords.Has(c.Username)):
		return a.passwords.Verify(ctx, c.Username, c.Password)
	case a.tokens != nil:
		return a.tokens.Verify(time.Now(), c.Password)
	}
	return policy.Device{}, errNoPasswords
}
