package config

import (
	"strings"
	"time"

	"github.com/tidegate/tidegate/transport"
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
}

func (l *loader) checkCertificateNames(c *CertificateNames) {
	const key = "identity.certificate"
	if l.config.TLS.Edge.ClientAuth == ClientAuthNone {
		l.fault(key, "has no effect while tls.edge.client_auth is none: nobody is asked for a certificate")
	}
	if len(c.URI)+len(c.CN) == 0 {
		l.fault(key, "needs a pattern in uri or cn")
	}
	for name, patterns := range map[string][]string{"uri": c.URI, "cn": c.CN} {
		for _, pattern := range patterns {
			if _, err := transport.ParseDeviceNames(nil, []string{pattern}); err != nil {
				l.fault(join(key, name), "%v", err)
			}
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
	for name, value := range map[string]string{"issuer": j.Issuer, "audience": j.Audience, "device": j.Device} {
		if value == "" {
			l.fault(join(key, name), "is required")
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
