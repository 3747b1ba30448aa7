package config

import (
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/tidegate/tidegate/transport"
	"github.com/tidegate/tidegate/transport/authhook"
	"github.com/tidegate/tidegate/transport/password"
	"github.com/tidegate/tidegate/transport/token"
)

// DeviceIdentity says how devices are known: by what in their certificates, and
// those that show none.
type DeviceIdentity struct {
	// Certificate replaces what names a device in a certificate. Default: SPIFFE ID
	// spiffe://DOMAIN/device/ID, else the common name.
	Certificate *CertificateNames `hcl:"certificate,block"`

	JWT *JWT `hcl:"jwt,block"`
	// Passwords is a file of user names and bcrypt hashes (htpasswd -nB), with
	// properties behind: "NAME:HASH:tenant=acme,type=meter". The user name is the
	// device's id. It is read again when it changes. Default: none. Needs
	// tls.edge.client_auth "optional" or "none".
	Passwords string `hcl:"passwords" is:"path"`
	Hook      *Hook  `hcl:"hook,block"`
	// DevToken makes whoever shows it any device: the user name is the id, with
	// the token as password, and "dev" where it comes alone. For development: 16
	// characters or more, and not where listeners.edge or listeners.mqtt is every
	// interface. Default: none.
	DevToken Secret `hcl:"dev_token"`
}

// Hook is an HTTP service of the operator that is asked who a device is that shows
// a user name that is not in passwords, with its password, or a bearer token that is
// not for jwt: package authhook says how. Needs tls.edge.client_auth "optional" or
// "none".
type Hook struct {
	URL    string `hcl:"url"`               // https://, or http:// on this machine; required
	Token  Secret `hcl:"token"`             // sent as Authorization: Bearer; default: none
	CAFile string `hcl:"ca_file" is:"path"` // authorities of the service, PEM; default: the system's
	// Timeout bounds the whole answer; a device whose answer is late may try again.
	// Default 2s, range 100ms–30s.
	Timeout time.Duration `hcl:"timeout"`
	// CacheFor is how long a device that was let in is not asked about again, unless
	// the answer says less (expires_in). Default 1m, range 1s–24h.
	CacheFor time.Duration `hcl:"cache_for"`
	// RefusedFor is the same of one that was refused. Default 5s, range 1s–1h.
	RefusedFor time.Duration `hcl:"refused_for"`
	// MaxCached bounds the answers that are remembered, of each of the two kinds.
	// Default 10000, range 1–1000000.
	MaxCached int `hcl:"max_cached"`
	// MaxInFlight bounds the questions at a time; beyond, devices are told to come
	// back. Default 64, range 1–10000.
	MaxInFlight int `hcl:"max_in_flight"`
}

// Config returns the block as package authhook takes it. Errors are of kind
// ErrInvalid.
func (h *Hook) Config() (authhook.Config, error) {
	c := authhook.Config{
		URL: h.URL, Token: h.Token.Reveal(), Timeout: h.Timeout,
		CacheFor: h.CacheFor, RefusedFor: h.RefusedFor, MaxCached: h.MaxCached, MaxInFlight: h.MaxInFlight,
	}
	if h.CAFile == "" {
		return c, nil
	}
	pem, err := readLimited(h.CAFile)
	if err != nil {
		return c, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if c.CAs = x509.NewCertPool(); !c.CAs.AppendCertsFromPEM(pem) {
		return c, fmt.Errorf("%w: %s holds no certificate in PEM", ErrInvalid, h.CAFile)
	}
	return c, nil
}

// CertificateNames are patterns such as "spiffe://example/tenant/{tenant}/device/{id}":
// {id} is the device's id, every other variable becomes a property. A variable ends
// where the text behind it first occurs. They are tried in order, those for URI
// names (subject alternative names) first; a certificate that fits none is refused.
// At least one.
type CertificateNames struct {
	URI []string `hcl:"uri"`
	CN  []string `hcl:"cn"` // for the subject's common name
}

// Names returns the patterns compiled; nil, where there are none, is the default.
func (i DeviceIdentity) Names() (*transport.DeviceNames, error) {
	if i.Certificate == nil {
		return nil, nil
	}
	return transport.ParseDeviceNames(i.Certificate.URI, i.Certificate.CN)
}

// JWT lets devices in that show a signed token (Authorization: Bearer). One that
// shows a certificate is known by that. Needs tls.edge.client_auth "optional" or
// "none".
type JWT struct {
	// JWKSFile and JWKSURL say where the keys that sign are, as a JSON Web Key
	// Set: exactly one of the two. A URL begins with https://; what it gave last
	// is kept under data_dir and goes on to count while it cannot be reached.
	JWKSFile string `hcl:"jwks_file" is:"path"`
	JWKSURL  string `hcl:"jwks_url"`
	Issuer   string `hcl:"issuer"`   // what iss must be; required
	Audience string `hcl:"audience"` // what aud must name; required
	// Device is the claim that is the device's id. Default "sub".
	Device string `hcl:"device"`
	// Properties are claims that become properties of the device, such as
	// "tenant"; others are not seen.
	Properties []string `hcl:"properties"`
	// Every is how often the keys are read again. Default 5m, range 10s–24h.
	Every time.Duration `hcl:"every"`
}

// Claims returns what the tokens must say.
func (j *JWT) Claims() token.Claims {
	return token.Claims{Issuer: j.Issuer, Audience: j.Audience, Device: j.Device, Properties: j.Properties}
}

// Source returns where the keys are; kept is the file for what a URL gave last.
func (j *JWT) Source(kept string) token.Source {
	if j.JWKSURL != "" {
		return token.Source{From: j.JWKSURL, Kept: kept, Every: j.Every}
	}
	return token.Source{From: j.JWKSFile, Every: j.Every}
}

func (l *loader) checkIdentity() {
	i := l.config.Identity
	if i.Certificate != nil {
		l.checkCertificateNames(i.Certificate)
	}
	if i.JWT != nil {
		l.checkOptional("identity.jwt")
		l.checkJWT(i.JWT)
	}
	if i.Passwords != "" {
		const key = "identity.passwords"
		l.checkOptional(key)
		if _, err := password.Open(i.Passwords); err != nil {
			l.fault(key, "%v", err)
		}
	}
	if i.Hook != nil {
		l.checkOptional("identity.hook")
		l.checkHook(i.Hook)
	}
	if i.DevToken != "" {
		l.checkDevToken(i.DevToken)
	}
}

func (l *loader) checkDevToken(token Secret) {
	const key = "identity.dev_token"
	l.checkOptional(key)
	if len(token) < minTokenLength {
		l.fault(key, "is shorter than %d characters", minTokenLength)
	}
	open := [][2]string{{"edge", l.config.Listeners.Edge.Addr}}
	if mqtt := l.config.Listeners.MQTT; mqtt != nil {
		open = append(open, [2]string{"mqtt", mqtt.Addr})
	}
	for _, listener := range open {
		if host, _, err := splitAddress(listener[1]); err == nil && everyInterface(host) {
			l.fault(key, "cannot stand while listeners.%s.addr %q is every interface: name one, 127.0.0.1 for this machine", listener[0], listener[1])
		}
	}
	l.warn("%s is set: whoever knows it is any device. Never set it where devices are real", key)
}

func (l *loader) checkHook(h *Hook) {
	const key = "identity.hook"
	if h.URL == "" {
		l.fault(key+".url", "is required")
		return
	}
	l.between(key+".timeout", h.Timeout, 100*time.Millisecond, 30*time.Second)
	l.between(key+".cache_for", h.CacheFor, time.Second, 24*time.Hour)
	l.between(key+".refused_for", h.RefusedFor, time.Second, time.Hour)
	l.within(key+".max_cached", int64(h.MaxCached), 1, 1_000_000)
	l.within(key+".max_in_flight", int64(h.MaxInFlight), 1, 10_000)
	c, err := h.Config()
	if err != nil {
		l.fault(key+".ca_file", "%s", reason(err))
		return
	}
	if err := c.Check(); err != nil {
		l.fault(key+".url", "%v", err)
	}
}

func (l *loader) checkCertificateNames(c *CertificateNames) {
	const key = "identity.certificate"
	if l.config.TLS.Edge.ClientAuth == ClientAuthNone {
		l.fault(key, "has no effect while tls.edge.client_auth is none: nobody is asked for a certificate")
	}
	if len(c.URI)+len(c.CN) == 0 {
		l.fault(key, "needs a pattern in uri or cn")
	}
	l.checkPatterns(join(key, "uri"), c.URI)
	l.checkPatterns(join(key, "cn"), c.CN)
}

func (l *loader) checkPatterns(key string, patterns []string) {
	for _, pattern := range patterns {
		if _, err := transport.ParseDeviceNames(nil, []string{pattern}); err != nil {
			l.fault(key, "%v", err)
		}
	}
}

func (l *loader) checkOptional(key string) {
	if l.config.TLS.Edge.ClientAuth == ClientAuthRequire {
		l.fault(key, "has no effect while tls.edge.client_auth is require: nobody comes without a certificate")
	}
}

func (l *loader) checkJWT(j *JWT) {
	const key = "identity.jwt"
	for _, field := range [...][2]string{{"issuer", j.Issuer}, {"audience", j.Audience}, {"device", j.Device}} {
		if field[1] == "" {
			l.fault(join(key, field[0]), "is required")
		}
	}
	l.between(key+".every", j.Every, 10*time.Second, 24*time.Hour)
	switch {
	case (j.JWKSFile == "") == (j.JWKSURL == ""):
		l.fault(key, "needs one of jwks_file and jwks_url")
	case j.JWKSURL != "" && !strings.HasPrefix(j.JWKSURL, "https://"):
		l.fault(key+".jwks_url", "%q does not begin with https://", j.JWKSURL)
	default:
		if _, err := token.Open(j.Source("")); err != nil {
			l.fault(key, "%v", err)
		}
	}
}
