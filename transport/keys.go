package transport

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"github.com/quic-go/quic-go"
)

const (
	resetKeyFile = "stateless-reset.key"
	tokenKeyFile = "address-token.key"
	keyLength    = 32
	keyChecksum  = 8 // bytes of SHA-256 behind the key: tells a torn file
)

// LoadOrCreateResetKey returns the agent's own stateless reset key (RFC 9000
// section 10.3) from dataDir, making one (0600, atomic) when there is none or
// the file is damaged. Persisted, it lets peers and devices notice a restart at
// once; it must not be shared between agents, since whoever holds it can reset
// their connections.
func LoadOrCreateResetKey(dataDir string) (*quic.StatelessResetKey, error) {
	key, err := loadOrCreateKey(filepath.Join(dataDir, resetKeyFile))
	if err != nil {
		return nil, fmt.Errorf("stateless reset key: %w", err)
	}
	return (*quic.StatelessResetKey)(key), nil
}

// LoadOrCreateTokenKey returns the agent's own key for address validation
// tokens (RFC 9000 section 8.1) from dataDir, as LoadOrCreateResetKey does.
// Persisted, it keeps the tokens that devices hold good over a restart.
func LoadOrCreateTokenKey(dataDir string) (*quic.TokenGeneratorKey, error) {
	key, err := loadOrCreateKey(filepath.Join(dataDir, tokenKeyFile))
	if err != nil {
		return nil, fmt.Errorf("address token key: %w", err)
	}
	return (*quic.TokenGeneratorKey)(key), nil
}

func loadOrCreateKey(path string) (*[keyLength]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read: %w", err)
	}
	if key, ok := decodeKey(data); ok {
		return key, nil
	}
	key := &[keyLength]byte{}
	rand.Read(key[:])
	if err := writePrivate(path, encodeKey(key)); err != nil {
		return nil, fmt.Errorf("write: %w", err)
	}
	return key, nil
}

func encodeKey(key *[keyLength]byte) []byte {
	sum := sha256.Sum256(key[:])
	return append(key[:keyLength:keyLength], sum[:keyChecksum]...)
}

func decodeKey(data []byte) (*[keyLength]byte, bool) {
	if len(data) != keyLength+keyChecksum {
		return nil, false
	}
	key := [keyLength]byte(data[:keyLength])
	return &key, bytes.Equal(encodeKey(&key), data)
}

func writePrivate(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return renameio.WriteFile(path, data, 0o600)
}
