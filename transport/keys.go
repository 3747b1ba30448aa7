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

// writePrivate replaces a file whole: whoever reads it sees the old or the new
// content, also after a crash.
func writePrivate(path string, data []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, filepath.Base(path)+".*") // CreateTemp makes it 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // gone when renamed
	_, err = file.Write(data)
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
