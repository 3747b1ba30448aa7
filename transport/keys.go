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
	resetKeyFile     = "stateless-reset.key"
	resetKeyLength   = len(quic.StatelessResetKey{})
	resetKeyChecksum = 8 // bytes of SHA-256 behind the key: tells a torn file
)

// LoadOrCreateResetKey returns the agent's own stateless reset key (RFC 9000
// section 10.3) from dataDir, making one (0600, atomic) when there is none or
// the file is damaged. Persisted, it lets peers and devices notice a restart at
// once; it must not be shared between agents, since whoever holds it can reset
// their connections.
func LoadOrCreateResetKey(dataDir string) (*quic.StatelessResetKey, error) {
	path := filepath.Join(dataDir, resetKeyFile)
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read stateless reset key: %w", err)
	}
	if key, ok := decodeResetKey(data); ok {
		return key, nil
	}
	key := &quic.StatelessResetKey{}
	rand.Read(key[:])
	if err := writePrivate(path, encodeResetKey(key)); err != nil {
		return nil, fmt.Errorf("write stateless reset key: %w", err)
	}
	return key, nil
}

func encodeResetKey(key *quic.StatelessResetKey) []byte {
	sum := sha256.Sum256(key[:])
	return append(key[:len(key):len(key)], sum[:resetKeyChecksum]...)
}

func decodeResetKey(data []byte) (*quic.StatelessResetKey, bool) {
	if len(data) != resetKeyLength+resetKeyChecksum {
		return nil, false
	}
	key := quic.StatelessResetKey(data[:resetKeyLength])
	return &key, bytes.Equal(encodeResetKey(&key), data)
}

func writePrivate(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return renameio.WriteFile(path, data, 0o600)
}
