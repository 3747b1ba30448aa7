package agent

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/tidegate/tidegate/agent/config"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
	"github.com/tidegate/tidegate/transport/token"
)

// makeTokens opens the keys of tokens, where devices may show some.
func (a *Agent) makeTokens() (err error) {
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

// identifier tells the device behind a request; nil: by certificate alone.
func (a *Agent) identifier() func(tls.ConnectionState, *http.Request) (policy.Device, error) {
	if a.tokens == nil {
		return nil
	}
	return func(cs tls.ConnectionState, r *http.Request) (policy.Device, error) {
		if len(cs.PeerCertificates) > 0 {
			return transport.VerifyDevice(cs, a.edgeTLS.Load().Pool, a.self.TrustDomain)
		}
		raw := token.Bearer(r.Header.Get("Authorization"))
		if raw == "" {
			return policy.Device{}, nil // unknown: the policy says what is open to it
		}
		r.Header.Del("Authorization") // is for the edge: services hear of the device
		return a.tokens.Verify(time.Now(), raw)
	}
}
