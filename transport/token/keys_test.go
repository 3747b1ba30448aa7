package token

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// issuer answers with a key set over HTTPS; an empty one means that it is down.
type issuer struct {
	*httptest.Server
	set     atomic.Pointer[[]byte]
	fetched atomic.Int64
}

func newIssuer(t *testing.T, set []byte) *issuer {
	i := &issuer{}
	i.set.Store(&set)
	i.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.fetched.Add(1)
		if src := *i.set.Load(); len(src) > 0 {
			_, _ = w.Write(src)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(func() { i.Client().CloseIdleConnections(); i.Close() })
	return i
}

func (i *issuer) keys(t *testing.T, kept string) *Keys {
	t.Helper()
	k, err := Open(Source{From: i.URL, Kept: kept, Every: 10 * time.Millisecond, Client: i.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func run(t *testing.T, k *Keys) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); k.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline, tick := time.After(10*time.Second), time.NewTicker(2*time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within 10 s: %s", what)
		case <-tick.C:
		}
	}
}

func TestKeysOfAURLAreFollowedAndStayWhileItIsDown(t *testing.T) {
	old, next := newSigner(t, "old", jose.ES256), newSigner(t, "next", jose.ES256)
	i := newIssuer(t, keySetOf(t, old.public()))
	k := i.keys(t, "")
	v := NewVerifier(accepted, k)
	verified := func(s *signer) bool { _, err := v.Verify(now, s.sign(t, claims(nil))); return err == nil }
	if verified(old) {
		t.Fatal("verified before any key was read")
	}
	run(t, k)
	eventually(t, "the keys are read", func() bool { return verified(old) })
	both := keySetOf(t, old.public(), next.public())
	i.set.Store(&both)
	eventually(t, "a new key is found", func() bool { return verified(next) })
	for _, bad := range []string{"", "not json", `{"keys":[]}`, `{"keys":[{"kty":"oct","k":"AAAA","kid":"old"}]}`} {
		src := []byte(bad)
		i.set.Store(&src)
		before := i.fetched.Load()
		eventually(t, "it was asked again", func() bool { return i.fetched.Load() > before+1 })
		if !verified(old) || !verified(next) {
			t.Errorf("%q took the keys away", bad)
		}
	}
}

func TestAnUnknownKeyIsLookedForAtOnce(t *testing.T) {
	s := newSigner(t, "k", jose.ES256)
	i := newIssuer(t, keySetOf(t, newSigner(t, "other", jose.ES256).public()))
	k, err := Open(Source{From: i.URL, Every: time.Hour, Client: i.Client()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewVerifier(accepted, k).Verify(now, s.sign(t, claims(nil))); err == nil {
		t.Fatal("verified by a key that is not there")
	}
	select {
	case <-k.want:
	default:
		t.Error("nobody looks for the key")
	}
}

func TestKeysAreKeptForAStartWithoutTheURL(t *testing.T) {
	s := newSigner(t, "k", jose.EdDSA)
	i := newIssuer(t, keySetOf(t, s.public()))
	kept := filepath.Join(t.TempDir(), "jwks.json")
	if err := i.keys(t, kept).Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	down := []byte{}
	i.set.Store(&down)
	v := NewVerifier(accepted, i.keys(t, kept))
	if _, err := v.Verify(now, s.sign(t, claims(nil))); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(kept, []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	i.keys(t, kept) // does not fail
}

func TestOnlyPublicKeysThatSignAreTaken(t *testing.T) {
	s := newSigner(t, "k", jose.RS256)
	private := jose.JSONWebKey{Key: s.key, KeyID: "private"}
	encrypting := s.public()
	encrypting.Use, encrypting.KeyID = "enc", "enc"
	secret := jose.JSONWebKey{Key: []byte("secret secret secret secret"), KeyID: "oct"}
	set, err := parseKeySet([]byte(strings.Replace(string(keySetOf(t, private, encrypting, secret, s.public())), `"keys":[`, `"keys":[{"kty":"new"},`, 1)))
	if err != nil || len(set.keys) != 1 || set.keys[0].KeyID != "k" {
		t.Errorf("%+v, %v", set, err)
	}
}

func TestSourcesThatCannotBeAreRefused(t *testing.T) {
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, make([]byte, maxKeySet+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{"", "/does/not/exist", big, "https://", "https://a b"} {
		if _, err := Open(Source{From: from}); !errors.Is(err, ErrKeys) {
			t.Errorf("%q: %v", from, err)
		}
	}
}

// FuzzKeySet holds that no document makes it panic, and that what is taken is
// public.
func FuzzKeySet(f *testing.F) {
	f.Add(keySetOf(f, newSigner(f, "k", jose.ES256).public()))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		set, err := parseKeySet(src)
		if err != nil {
			return
		}
		for i := range set.keys {
			if !set.keys[i].IsPublic() {
				t.Fatalf("%+v", set.keys[i])
			}
		}
	})
}
