package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"go.uber.org/goleak"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Unix(1_700_000_000, 0)

var accepted = Claims{Issuer: "https://id.example.com", Audience: "tidegate", Properties: []string{"tenant", "type"}}

// signer is a key, and its public half in a key set.
type signer struct {
	id  string
	alg jose.SignatureAlgorithm
	key crypto.Signer
}

func newSigner(t testing.TB, id string, alg jose.SignatureAlgorithm) *signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch alg {
	case jose.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &signer{id, alg, key}
}

func (s *signer) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: s.key.Public(), KeyID: s.id, Algorithm: string(s.alg), Use: "sig"}
}

func (s *signer) sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	return signed(t, jose.SigningKey{Algorithm: s.alg, Key: jose.JSONWebKey{Key: s.key, KeyID: s.id}}, nil, claims)
}

func signed(t testing.TB, key jose.SigningKey, opts *jose.SignerOptions, claims map[string]any) string {
	t.Helper()
	js, err := jose.NewSigner(key, opts)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jwt.Signed(js).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func keySetOf(t testing.TB, keys ...jose.JSONWebKey) []byte {
	t.Helper()
	src, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func keysInFile(t testing.TB, keys ...jose.JSONWebKey) (*Keys, string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(name, keySetOf(t, keys...), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := Open(Source{From: name})
	if err != nil {
		t.Fatal(err)
	}
	return k, name
}

// claims are good ones, but for what is changed; nil takes one out.
func claims(changes map[string]any) map[string]any {
	all := map[string]any{
		"iss": accepted.Issuer, "aud": "tidegate", "sub": "meter-7", "tenant": "acme", "admin": "yes",
		"exp": now.Add(time.Hour).Unix(), "nbf": now.Add(-time.Hour).Unix(), "iat": now.Add(-time.Hour).Unix(),
	}
	maps.Copy(all, changes)
	for name, value := range all {
		if value == nil {
			delete(all, name)
		}
	}
	return all
}

func TestTokensNameTheDeviceWhateverTheAlgorithm(t *testing.T) {
	for _, alg := range []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA, jose.RS256, jose.PS384} {
		s := newSigner(t, "k", alg)
		keys, _ := keysInFile(t, s.public())
		v := NewVerifier(accepted, keys)
		for range 2 { // the second time from memory
			d, err := v.Verify(now, s.sign(t, claims(nil)))
			if err != nil || d.ID != "meter-7" || len(d.Properties) != 1 || d.Properties["tenant"] != "acme" || !d.Until.Equal(now.Add(time.Hour+Leeway)) {
				t.Errorf("%s: %+v, %v", alg, d, err)
			}
		}
	}
}

func TestBadTokensNameNobody(t *testing.T) {
	s, other := newSigner(t, "k", jose.RS256), newSigner(t, "k", jose.RS256)
	keys, _ := keysInFile(t, s.public())
	v := NewVerifier(accepted, keys)
	good := s.sign(t, claims(nil))
	part := strings.Split(good, ".")
	body := func(changes map[string]any) string { return s.sign(t, claims(changes)) }
	stranger := newSigner(t, "new", jose.RS256)
	for name, raw := range map[string]string{
		"nothing":                 "",
		"text":                    "abc",
		"alg none":                unsigned(t, claims(nil)),
		"the public key as HMAC":  hmacByPublicKey(t, s, claims(nil)),
		"another's key":           other.sign(t, claims(nil)),
		"an unknown key":          stranger.sign(t, claims(nil)),
		"another body":            part[0] + "." + strings.Split(body(map[string]any{"sub": "meter-8"}), ".")[1] + "." + part[2],
		"no signature":            part[0] + "." + part[1] + ".",
		"expired":                 body(map[string]any{"exp": now.Add(-2 * Leeway).Unix()}),
		"no expiry":               body(map[string]any{"exp": nil}),
		"not yet":                 body(map[string]any{"nbf": now.Add(2 * Leeway).Unix()}),
		"from the future":         body(map[string]any{"iat": now.Add(2 * Leeway).Unix()}),
		"another issuer":          body(map[string]any{"iss": "https://evil.example.com"}),
		"no issuer":               body(map[string]any{"iss": nil}),
		"another audience":        body(map[string]any{"aud": []string{"a", "b"}}),
		"no audience":             body(map[string]any{"aud": nil}),
		"no device":               body(map[string]any{"sub": nil}),
		"a device that is a list": body(map[string]any{"sub": []string{"meter-7"}}),
		"a device with a slash":   body(map[string]any{"sub": "a/b"}),
		"a property with a line":  body(map[string]any{"tenant": "a\nb"}),
		"too large":               body(map[string]any{"x": strings.Repeat("x", maxToken)}),
	} {
		t.Run(name, func(t *testing.T) {
			d, err := v.Verify(now, raw)
			if !errors.Is(err, transport.ErrIdentity) || d.ID != "" {
				t.Errorf("%+v, %v", d, err)
			}
		})
	}
	if _, err := v.Verify(now, good); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

// unsigned is what RFC 7519 calls an unsecured token.
func unsigned(t *testing.T, claims map[string]any) string {
	t.Helper()
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none","kid":"k"}`)) + "." + encode(body) + "."
}

func hmacByPublicKey(t *testing.T, s *signer, claims map[string]any) string {
	t.Helper()
	public, err := json.Marshal(s.public())
	if err != nil {
		t.Fatal(err)
	}
	return signed(t, jose.SigningKey{Algorithm: jose.HS256, Key: public}, (&jose.SignerOptions{}).WithHeader("kid", "k"), claims)
}

func TestATokenThatIsRememberedStillExpires(t *testing.T) {
	s := newSigner(t, "k", jose.ES256)
	keys, _ := keysInFile(t, s.public())
	v := NewVerifier(accepted, keys)
	raw := s.sign(t, claims(nil))
	for _, c := range []struct {
		at   time.Time
		good bool
	}{{now, true}, {now.Add(time.Hour), true}, {now.Add(time.Hour + 2*Leeway), false}, {now, true}} {
		if _, err := v.Verify(c.at, raw); (err == nil) != c.good {
			t.Errorf("at %v: %v", c.at, err)
		}
	}
}

func TestAKeyThatIsTakenAwayVerifiesNothing(t *testing.T) {
	first, second := newSigner(t, "a", jose.ES256), newSigner(t, "b", jose.EdDSA)
	keys, name := keysInFile(t, first.public(), second.public())
	v := NewVerifier(accepted, keys)
	raw := first.sign(t, claims(nil))
	if _, err := v.Verify(now, raw); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, keySetOf(t, second.public()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := keys.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(now, raw); err == nil {
		t.Error("still verified, from memory")
	}
	if _, err := v.Verify(now, second.sign(t, claims(nil))); err != nil {
		t.Errorf("by the key that stayed: %v", err)
	}
}

func TestOnlySoManyTokensAreRemembered(t *testing.T) {
	var c cache
	set := &keySet{}
	for i := range 5 * cacheMost {
		c.put(set, fmt.Sprint(i), policy.Device{ID: "d", Until: now.Add(time.Hour)})
	}
	if n := len(c.new) + len(c.old); n > 2*cacheMost {
		t.Errorf("%d are remembered", n)
	}
	if _, ok := c.get(set, fmt.Sprint(5*cacheMost-1), now); !ok {
		t.Error("the last one is forgotten")
	}
}

func TestBearer(t *testing.T) {
	for in, want := range map[string]string{"": "", "Bearer": "", "Bearer x.y.z": "x.y.z", "bearer  x": "x", "Basic x": "", "Bearerx y": ""} {
		if got := Bearer(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestTokensAreToldFromOtherSecrets(t *testing.T) {
	s := newSigner(t, "k", jose.ES256)
	for raw, want := range map[string]bool{s.sign(t, claims(nil)): true, unsigned(t, claims(nil)): true, "": false, "secret": false, "a.b.c": false, "eyJ": false, "eyJ.a": false, "eyJ.a.b.c.d": false} {
		if got := Looks(raw); got != want {
			t.Errorf("%q: %v", raw, got)
		}
	}
}

// FuzzVerify holds that no token makes Verify panic, and that what was not signed
// names nobody.
func FuzzVerify(f *testing.F) {
	s := newSigner(f, "k", jose.ES256)
	keys, _ := keysInFile(f, s.public())
	v := NewVerifier(accepted, keys)
	good := s.sign(f, claims(nil))
	f.Add(good)
	f.Add("..")
	f.Add(`{"payload":"e30","signatures":[{"protected":"e30","signature":""}]}`)
	f.Fuzz(func(t *testing.T, raw string) {
		if d, err := v.Verify(now, raw); err == nil && (raw != good || d.ID != "meter-7") {
			t.Fatalf("%q names %+v", raw, d)
		} else if err != nil && !errors.Is(err, transport.ErrIdentity) {
			t.Fatal(err)
		}
	})
}
