package gossip

import (
	"bytes"
	"fmt"

	"github.com/hashicorp/memberlist"
)

const maxGossipKeys = 8

// Keys are rotated without a restart, in three rounds over all agents: AddKey
// everywhere, then UseKey everywhere, then RemoveKey of the old one.

// AddKey installs a key for decryption; 16, 24 or 32 bytes. Installing one
// twice is no error. Errors are of kind ErrKeyring.
func (m *Mesh) AddKey(key []byte) error {
	return m.changeKeyring("add", func(ring *memberlist.Keyring) error {
		if len(ring.GetKeys()) >= maxGossipKeys {
			return fmt.Errorf("%d keys are installed: remove one first", maxGossipKeys)
		}
		return ring.AddKey(bytes.Clone(key))
	})
}

// UseKey makes an installed key the one that encrypts. Errors are of kind
// ErrKeyring.
func (m *Mesh) UseKey(key []byte) error {
	return m.changeKeyring("use", func(ring *memberlist.Keyring) error { return ring.UseKey(key) })
}

// RemoveKey forgets an installed key; removing an unknown one is no error, the
// one that encrypts cannot be removed. Errors are of kind ErrKeyring.
func (m *Mesh) RemoveKey(key []byte) error {
	return m.changeKeyring("remove", func(ring *memberlist.Keyring) error {
		if err := moveKeyLast(ring, key); err != nil {
			return err
		}
		return ring.RemoveKey(key)
	})
}

func (m *Mesh) changeKeyring(what string, change func(*memberlist.Keyring) error) error {
	if m.keyring == nil {
		return fmt.Errorf("%w: %s key: this mesh runs without encryption", ErrKeyring, what)
	}
	m.keyMu.Lock()
	defer m.keyMu.Unlock()
	if err := change(m.keyring); err != nil {
		return fmt.Errorf("%w: %s key: %w", ErrKeyring, what, err)
	}
	m.cfg.Logger.Info("gossip keyring changed", "change", what, "keys", len(m.keyring.GetKeys()))
	return nil
}

// moveKeyLast works around memberlist 0.7.0: Keyring.RemoveKey shifts the keys
// behind the removed one in a slice that decrypting goroutines read without a
// lock. Nothing is shifted when it is the last, and UseKey builds a new slice.
// Each key behind it encrypts for an instant; all of them are installed.
func moveKeyLast(ring *memberlist.Keyring, key []byte) error {
	keys := ring.GetKeys()
	for i, k := range keys {
		if i == 0 || !bytes.Equal(k, key) {
			continue
		}
		for _, behind := range keys[i+1:] {
			if err := ring.UseKey(behind); err != nil {
				return err
			}
		}
		return ring.UseKey(keys[0])
	}
	return nil
}
