package token

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

// Claims says what a token must say, and what of it tells the device.
type Claims struct {
	Issuer   string // iss, exactly; required
	Audience string // must be one of aud; required
	// Device names the claim that is the device's id. Default "sub".
	Device string
	// Properties are the claims that become properties of the device, where a
	// token has them: strings only.
	Properties []string
}

// Leeway is how far clocks may differ.
const Leeway = time.Minute

// maxToken is far above what a header of the default size holds.
const maxToken = 16 << 10

// algorithms are those that verify with a public key. With "none" and HMAC
// anybody could sign who knows what the agent knows.
var algorithms = []jose.SignatureAlgorithm{
	jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
}

// Verifier tells devices by their tokens. Safe for concurrent use.
type Verifier struct {
	claims Claims
	keys   *Keys
	known  cache
}

// NewVerifier returns a Verifier by keys, whose owner runs them.
func NewVerifier(c Claims, keys *Keys) *Verifier {
	if c.Device == "" {
		c.Device = "sub"
	}
	return &Verifier{claims: c, keys: keys}
}

// Verify returns the device that a token names, until its expiry. A token must be
// signed by one of the keys, name issuer and audience, and have an expiry. Errors are of kind
// transport.ErrIdentity and hold nothing of the token that is secret.
func (v *Verifier) Verify(now time.Time, raw string) (policy.Device, error) {
	set := v.keys.current()
	if d, ok := v.known.get(set, raw, now); ok {
		return d, nil
	}
	d, err := v.verify(now, raw, set)
	if err != nil {
		return policy.Device{}, fmt.Errorf("%w: token: %w", transport.ErrIdentity, err)
	}
	v.known.put(set, raw, d)
	return d, nil
}

func (v *Verifier) verify(now time.Time, raw string, set *keySet) (d policy.Device, err error) {
	if len(raw) > maxToken {
		return d, fmt.Errorf("of %d bytes is too large", len(raw))
	}
	parsed, err := jwt.ParseSigned(raw, algorithms)
	if err != nil {
		return d, fmt.Errorf("cannot be read: %w", err)
	}
	header := parsed.Headers[0]
	key, print, err := v.key(set, header.KeyID, header.Algorithm)
	if err != nil {
		return d, err
	}
	var standard jwt.Claims
	var all map[string]any
	if err := parsed.Claims(key, &standard, &all); err != nil {
		return d, fmt.Errorf("key %.80q: %w", header.KeyID, err)
	}
	if standard.Expiry == nil {
		return d, fmt.Errorf("has no expiry")
	}
	expected := jwt.Expected{Issuer: v.claims.Issuer, AnyAudience: jwt.Audience{v.claims.Audience}, Time: now}
	if err := standard.ValidateWithLeeway(expected, Leeway); err != nil {
		return d, err
	}
	d, err = v.device(all)
	d.Proof = proofPrefix + print
	d.Until = standard.Expiry.Time().Add(Leeway)
	return d, err
}

// key finds the key of a token. One that is not known may be new.
func (v *Verifier) key(set *keySet, id, algorithm string) (key any, print string, err error) {
	key, print, ok := set.find(id, algorithm)
	if !ok {
		v.keys.wanted()
		return nil, "", fmt.Errorf("key %.80q for %s is not known", id, algorithm)
	}
	return key, print, nil
}

func (v *Verifier) device(claims map[string]any) (policy.Device, error) {
	id, _ := claims[v.claims.Device].(string)
	properties := map[string]string{}
	for _, name := range v.claims.Properties {
		if value, ok := claims[name].(string); ok {
			properties[name] = value
		}
	}
	return transport.NewDevice(id, properties)
}

// proofPrefix begins the proof of devices that showed a token.
const proofPrefix = "key "

// Stands says that what a device showed still counts: the key that signed its
// token is in force, or it showed something else.
func (v *Verifier) Stands(d *policy.Device) bool {
	print, ours := strings.CutPrefix(d.Proof, proofPrefix)
	return !ours || slices.Contains(v.keys.current().prints, print)
}

// Looks says whether a text has the form of a signed token (RFC 7515 section 7.1):
// three parts, the first of which begins a JSON object in base64. Others are
// for somebody else to tell.
func Looks(raw string) bool {
	return strings.HasPrefix(raw, "eyJ") && strings.Count(raw, ".") == 2
}

// Bearer returns the token of an Authorization header (RFC 6750 section 2.1), ""
// where there is none.
func Bearer(authorization string) string {
	scheme, token, ok := strings.Cut(authorization, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimLeft(token, " ")
}
