package edge

import (
	"crypto/rand"
	"fmt"

	"github.com/quic-go/quic-go"
)

// QUICLB has the edge make connection IDs by which a layer-4 balancer finds the
// agent again when a device's address has changed: the unencrypted form of
// draft-ietf-quic-load-balancers-21, sections 3 and 5.
type QUICLB struct {
	// ConfigID is the codepoint of the balancer's configuration, 0 to 6.
	ConfigID int
	// ServerID is this agent's, 1 to 15 bytes; all agents behind a balancer have
	// IDs of one length, and each its own.
	ServerID []byte
	// NonceLength is how many random bytes follow, 4 to 18, with ServerID at most
	// 19. With fewer than 8, large agents draw the same twice now and then, which
	// costs a device its connection.
	NonceLength int
}

func (lb *QUICLB) check() error {
	switch n := len(lb.ServerID); {
	case lb.ConfigID < 0 || lb.ConfigID > 6:
		return fmt.Errorf("%w: QUIC-LB config ID %d is not between 0 and 6", ErrConfig, lb.ConfigID)
	case n < 1 || n > 15:
		return fmt.Errorf("%w: QUIC-LB server ID has %d bytes, not 1 to 15", ErrConfig, n)
	case lb.NonceLength < 4 || lb.NonceLength+n > 19:
		return fmt.Errorf("%w: QUIC-LB nonce of %d bytes: it has 4 at least, and at most 19 with the server ID", ErrConfig, lb.NonceLength)
	}
	return nil
}

// ConnectionIDLen and GenerateConnectionID make it a quic.ConnectionIDGenerator.
func (lb *QUICLB) ConnectionIDLen() int { return 1 + len(lb.ServerID) + lb.NonceLength }

// GenerateConnectionID returns a new one: three bits that name the configuration
// and five random ones, the server ID, the nonce. It never fails.
func (lb *QUICLB) GenerateConnectionID() (quic.ConnectionID, error) {
	id := make([]byte, lb.ConnectionIDLen())
	rand.Read(id)
	id[0] = byte(lb.ConfigID)<<5 | id[0]&0x1f
	copy(id[1:], lb.ServerID)
	return quic.ConnectionIDFromBytes(id), nil
}
