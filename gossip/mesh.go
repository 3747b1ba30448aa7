// Package gossip keeps the agents of all regions informed of each other over
// hashicorp/memberlist: who lives, what each region can serve, and which
// regions are down. All agents of a region share a LAN pool; the first three
// by rendezvous hash, its gateways, also share a WAN pool with those of the
// other regions, and the first live one is the region's lead.
//
// Reports are signed: the gossip keys are shared by all, so encryption alone
// would let any agent speak for any region. See docs/gossip.md for the frames.
package gossip

import "time"

// New checks the configuration; nothing is bound before Start. Errors are of
// kind ErrConfig.
func New(cfg Config) (*Mesh, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Mesh{cfg: cfg}, nil
}

// Mesh is one agent's part in the mesh. All methods are safe for concurrent
// use.
type Mesh struct {
	cfg Config
}

// Start binds the LAN pool and starts the mesh.
func (m *Mesh) Start() error { return nil }

// Close stops everything the mesh started and waits for it. Others find this
// agent dead unless Leave was called before.
func (m *Mesh) Close() error { return nil }

// Leave tells both pools that this agent goes.
func (m *Mesh) Leave(timeout time.Duration) error { return nil }

// Join remembers addresses ("host:port", names are resolved at each attempt)
// of agents of this region and of gateways of others, and tries them for ever.
func (m *Mesh) Join(lan, wan []string) {}

// Publish replaces this agent's load.
func (m *Mesh) Publish(load Load) error { return nil }

// SetMeta replaces what others are told of this agent.
func (m *Mesh) SetMeta(meta Meta) error { return nil }

// SetSigner replaces the certificate and key.
func (m *Mesh) SetSigner(s Signer) error { return nil }

// State returns the newest snapshot, never nil.
func (m *Mesh) State() *State { return &State{} }

// Changed is signalled after each new State.
func (m *Mesh) Changed() <-chan struct{} { return nil }

// Vector returns this region's newest signed vector, nil when none.
func (m *Mesh) Vector() (Version, []byte) { return Version{}, nil }

// Offer hands over a vector frame learned from a probe.
func (m *Mesh) Offer(frame []byte) error { return nil }

// Declare says which regions this gateway holds down.
func (m *Mesh) Declare(down []string) {}

// Opine says which regions are silent to this gateway.
func (m *Mesh) Opine(silent []string) {}

// AddKey installs a gossip key for decryption.
func (m *Mesh) AddKey(key []byte) error { return nil }

// UseKey makes an installed key the one that encrypts.
func (m *Mesh) UseKey(key []byte) error { return nil }

// RemoveKey forgets a key that is not in use.
func (m *Mesh) RemoveKey(key []byte) error { return nil }

// LANAddr is the address the LAN pool advertises; empty before Start.
func (m *Mesh) LANAddr() string { return "" }

// WANAddr is the address the WAN pool advertises; empty unless this agent is a
// gateway.
func (m *Mesh) WANAddr() string { return "" }
