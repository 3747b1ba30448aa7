package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/renameio/v2"
)

// ErrKeys is the kind of errors about a key set.
var ErrKeys = errors.New("key set")

const (
	maxKeySet = 1 << 20 // bytes
	maxKeys   = 1000
	fetchTime = 10 * time.Second
	wantedGap = 10 * time.Second // between fetches for keys that are not known
	minRSA    = 2048             // bits
)

// Source says where a key set comes from.
type Source struct {
	// From is a file, or a URL that begins with https://.
	From string
	// Kept is the file that holds what a URL gave last, for a start while it
	// cannot be reached. Empty: nothing is kept.
	Kept string
	// Every is how often the source is read again. Default 5m.
	Every time.Duration

	// Changed is called when other keys are in force. Nil: nobody wants to know.
	Changed func()

	Client *http.Client // nil: http.DefaultClient
	Logger *slog.Logger // nil: no logs
}

// Keys are the keys of a source as last read. What cannot be read changes
// nothing. Safe for concurrent use.
type Keys struct {
	source Source
	set    atomic.Pointer[keySet]
	want   chan struct{} // capacity 1
}

// keySet is immutable; its address tells it from others.
type keySet struct {
	source string // that it was read from
	keys   []jose.JSONWebKey
	prints []string // of keys (RFC 7638)
}

// Open reads a key set. A file must be readable; a URL may be so later.
func Open(s Source) (*Keys, error) {
	if s.Every <= 0 {
		s.Every = 5 * time.Minute
	}
	if s.Client == nil {
		s.Client = http.DefaultClient
	}
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	k := &Keys{source: s, want: make(chan struct{}, 1)}
	k.set.Store(&keySet{})
	if !s.remote() {
		return k, k.Reload(context.Background())
	}
	if u, err := url.Parse(s.From); err != nil || u.Host == "" {
		return nil, fmt.Errorf("%w: %q is no URL", ErrKeys, s.From)
	}
	if s.Kept == "" {
		return k, nil
	}
	if kept, err := readFile(s.Kept); err == nil {
		_ = k.take(kept) // torn: as if there were none
	}
	return k, nil
}

func (s *Source) remote() bool { return strings.HasPrefix(s.From, "https://") }

// Run reads the source again and again until ctx ends: every Source.Every, and
// sooner where a token names a key that is not known.
func (k *Keys) Run(ctx context.Context) {
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		case <-k.want:
		}
		if err := k.Reload(ctx); err != nil && ctx.Err() == nil {
			k.source.Logger.Warn("keys of tokens not read, the old ones stay", "from", k.source.From, "error", err)
		}
		if !pause(ctx, min(wantedGap, k.source.Every)) {
			return
		}
		next.Reset(k.source.Every/2 + rand.N(k.source.Every/2+1))
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// Reload reads the source now. On an error, of kind ErrKeys, the old keys stay.
func (k *Keys) Reload(ctx context.Context) error {
	read := func() ([]byte, error) { return readFile(k.source.From) }
	if k.source.remote() {
		read = func() ([]byte, error) { return k.fetch(ctx) }
	}
	src, err := read()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKeys, err)
	}
	if err := k.take(src); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrKeys, k.source.From, err)
	}
	if k.source.remote() && k.source.Kept != "" {
		if err := renameio.WriteFile(k.source.Kept, src, 0o600); err != nil {
			k.source.Logger.Warn("keys of tokens not kept", "file", k.source.Kept, "error", err)
		}
	}
	return nil
}

func (k *Keys) fetch(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.source.From, nil)
	if err != nil {
		return nil, err
	}
	rsp, err := k.source.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer rsp.Body.Close()
	if rsp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", k.source.From, rsp.Status)
	}
	return limited(rsp.Body, k.source.From)
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return limited(f, name)
}

func limited(r io.Reader, name string) ([]byte, error) {
	src, err := io.ReadAll(io.LimitReader(r, maxKeySet+1))
	if err == nil && len(src) > maxKeySet {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxKeySet)
	}
	return src, err
}

// take puts the keys of a set in force, unless there is none that is of use.
func (k *Keys) take(src []byte) error {
	set, err := parseKeySet(src)
	if err != nil {
		return err
	}
	if set.source != k.set.Load().source {
		k.set.Store(set)
		k.source.Logger.Info("keys of tokens in force", "from", k.source.From, "keys", len(set.keys))
		if k.source.Changed != nil {
			k.source.Changed()
		}
	}
	return nil
}

func (k *Keys) current() *keySet { return k.set.Load() }

// wanted asks for the source to be read soon.
func (k *Keys) wanted() {
	select {
	case k.want <- struct{}{}:
	default:
	}
}

// parseKeySet leaves out what is of no use: private and symmetric keys, those for
// encryption, and kinds that are not known.
func parseKeySet(src []byte) (*keySet, error) {
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(src, &doc); err != nil {
		return nil, fmt.Errorf("is no JSON Web Key Set: %w", err)
	}
	if len(doc.Keys) > maxKeys {
		return nil, fmt.Errorf("has %d keys, at most %d are taken", len(doc.Keys), maxKeys)
	}
	set := &keySet{source: string(src)}
	for _, raw := range doc.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) != nil || !usable(&key) {
			continue
		}
		if print, err := key.Thumbprint(crypto.SHA256); err == nil {
			set.keys, set.prints = append(set.keys, key), append(set.prints, hex.EncodeToString(print))
		}
	}
	if len(set.keys) == 0 {
		return nil, errors.New("holds no public key that signs")
	}
	return set, nil
}

func usable(key *jose.JSONWebKey) bool {
	if key.Use != "" && key.Use != "sig" {
		return false
	}
	switch k := key.Key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= minRSA
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

// find returns the key by its id, or, for a token that names none, the only one
// there is, and its print.
func (s *keySet) find(id, algorithm string) (found any, print string, ok bool) {
	n := 0
	for i := range s.keys {
		k := &s.keys[i]
		if (id != "" && k.KeyID != id) || (k.Algorithm != "" && k.Algorithm != algorithm) {
			continue
		}
		found, print = k.Key, s.prints[i]
		n++
	}
	return found, print, n == 1
}
