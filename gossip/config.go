package gossip

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"
)

// Kinds of errors this package returns; test them with errors.Is.
var (
	ErrConfig  = errors.New("gossip: bad configuration") // New refused its Config
	ErrFrame   = errors.New("gossip: malformed frame")   // bytes that are no frame of ours, or over a limit
	ErrForged  = errors.New("gossip: not authentic")     // unknown key, bad signature, or a signer of another region
	ErrStale   = errors.New("gossip: stale frame")       // not newer than what is held
	ErrKeyring = errors.New("gossip: keyring")           // a key could not be added, used or removed
	ErrClosed  = errors.New("gossip: closed")            // the mesh is not running
)

// Limits on names, in bytes. Names are printable ASCII without spaces.
const (
	MaxAgentName     = 128
	MaxRegionName    = 63 // also groups; keeps a digest within 300 bytes
	MaxPolicyVersion = 32
	MaxAddress       = 160 // "host:port" of a mesh or edge listener
)

// Config describes one agent's part in the mesh. It must not be changed after
// New.
type Config struct {
	Name   string // the agent's name, unique in the mesh; ≤ MaxAgentName
	Region string // ≤ MaxRegionName
	Group  string // may be empty; ≤ MaxRegionName
	Meta   Meta   // what other agents are told of this one; Name, Region and Group are filled in

	LAN Bind // pool of all agents of the region
	WAN Bind // pool of the gateways of all regions; bound only while this agent is one

	// Keyring encrypts both pools (AES-GCM): keys of 16, 24 or 32 bytes, the
	// first one is used to encrypt, all of them to decrypt. Required unless
	// Insecure.
	Keyring [][]byte
	// Insecure allows an empty Keyring: anybody who reaches the ports may
	// then read gossip and join. Reports stay signed.
	Insecure bool

	Signer Signer
	// Verify checks a certificate and says who holds it. It is called again
	// every minute for a certificate in use, so that revocation and expiry take
	// effect. It must be safe for concurrent use and quick (no I/O).
	Verify func(certDER []byte) (region, agent string, pub ed25519.PublicKey, err error)

	// Transport builds the transport of a pool ("lan" or "wan"); nil means
	// NewTransport. It is called again each time the agent becomes a gateway.
	Transport func(pool string, cfg *memberlist.Config) (memberlist.Transport, error)

	Timing  Timing                // zero fields take the values of DefaultTiming
	Logger  *slog.Logger          // nil discards
	Metrics prometheus.Registerer // one registry an agent; nil: no metrics
}

// Bind is where a pool listens and what it tells others.
type Bind struct {
	Addr      string // "host:port", an IP address; port 0 takes a free one
	Advertise string // "host:port" others reach it at; empty: Addr, or a private address when Addr is unspecified
}

// Signer signs this agent's reports: the mesh certificate and its key.
type Signer struct {
	CertDER []byte
	Key     ed25519.PrivateKey
}

func (c *Config) validate() error {
	c.Meta.Name, c.Meta.Region, c.Meta.Group = c.Name, c.Region, c.Group
	c.Timing = c.Timing.withDefaults()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	checks := []error{
		checkName("agent name", c.Name, MaxAgentName),
		checkName("region", c.Region, MaxRegionName),
		c.Meta.check(),
		c.checkKeys(),
		c.checkSigner(),
		c.Timing.check(),
	}
	for pool, bind := range map[string]Bind{"lan": c.LAN, "wan": c.WAN} {
		if err := bind.check(); err != nil {
			checks = append(checks, fmt.Errorf("%s: %w", pool, err))
		}
	}
	if err := errors.Join(checks...); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

func (c *Config) checkKeys() error {
	if len(c.Keyring) == 0 && !c.Insecure {
		return errors.New("no gossip encryption key: set one (tidegate keygen makes it), or allow plain gossip explicitly")
	}
	for i, key := range c.Keyring {
		if err := memberlist.ValidateKey(key); err != nil {
			return fmt.Errorf("gossip key %d has %d bytes: use 16, 24 or 32", i+1, len(key))
		}
	}
	return nil
}

func (c *Config) checkSigner() error {
	if c.Verify == nil {
		return errors.New("no Verify: reports could not be told from forged ones")
	}
	_, err := c.newSigner(c.Signer)
	return err
}

func checkName(what, name string, limit int) error {
	if name == "" {
		return fmt.Errorf("%s is empty", what)
	}
	if len(name) > limit {
		return fmt.Errorf("%s %.20q… has %d bytes: at most %d are allowed", what, name, len(name), limit)
	}
	if !printable(name) {
		return fmt.Errorf("%s %q holds spaces or unprintable characters", what, name)
	}
	return nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
