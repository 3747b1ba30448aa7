package transport

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"
)

// Endpoint is an agent and where its mesh port is: "host:port", UDP and TCP.
type Endpoint struct {
	Peer Peer
	Addr string
}

// MeshConfig is what a Mesh needs. Self, Conn and Credentials are required.
type MeshConfig struct {
	// Self must be what the certificate in Credentials says.
	Self Peer
	// Conn is the mesh's UDP socket: a bare *net.UDPConn in production
	// (ListenUDP), a fault decorator in drills. The Mesh owns it once NewMesh
	// succeeded, and closes it.
	Conn net.PacketConn
	// TCPListener, when set, serves HTTP/2 with mutual TLS for peers whose UDP
	// is blocked. Owned like Conn.
	TCPListener net.Listener
	// TCPDial, when set, lets tunnels and probes fall back to TCP after 3
	// failed QUIC dials; (&net.Dialer{}).DialContext in production. Nil: QUIC
	// only.
	TCPDial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Credentials hold the certificate, its key and the authorities to trust.
	// They may be replaced while the mesh runs.
	Credentials *Credentials
	// StatelessResetKey lets peers notice a restart at once; see
	// LoadOrCreateResetKey. Nil: they wait for silence.
	StatelessResetKey *quic.StatelessResetKey
	// TokenGeneratorKey encrypts address validation tokens; nil: random.
	TokenGeneratorKey *quic.TokenGeneratorKey
	// Handler serves requests that arrive through tunnels; PeerFrom tells from
	// whom. Nil: everything is answered 404.
	Handler http.Handler
	// Deny, when set, refuses a peer at every handshake (resumed ones too) and
	// closes its connections within a second when it starts to say true.
	// Called concurrently.
	Deny func(Peer) bool
	// Probes says what to answer to probes, and hears their results.
	Probes Probes
	// Limits on what peers may use; zero fields take DefaultLimits.
	Limits Limits
	// Logger; nil: discarded.
	Logger *slog.Logger
	// Metrics; nil: not exported.
	Metrics prometheus.Registerer
}

// Limits bounds what an authenticated or unknown peer can make a mesh spend.
type Limits struct {
	Connections         int     // in all, handshakes included; default 4096
	ConnectionsPerAgent int     // of each kind (tunnel, probe); the oldest gives way; default 4
	StreamsPerTunnel    int64   // concurrent requests a tunnel; default 10000
	HeaderBytes         int     // of a request or response; default 64 KiB
	HandshakesPerSecond float64 // from unproven addresses; above it they must prove theirs by QUIC Retry; default 100
	ProbesPerSecond     float64 // datagrams answered a connection; default 60
}

// Probes is the owner's side of probing. All functions may be nil. They are
// called from the mesh's goroutines, concurrently for different peers, and
// must not block.
type Probes struct {
	// Answer returns the status sent with every answer, ≤ 200 bytes (longer
	// ones are cut off: sent empty).
	Answer func(from Peer) []byte
	// Vector returns this region's newest vector frame, ≤ 1 MiB, nil for none.
	Vector func() []byte
	// Heard: an authenticated packet of the peer came in.
	Heard func(peer Peer, now time.Time)
	// RTT: a probe was answered after d.
	RTT func(peer Peer, d time.Duration, now time.Time)
	// Status: the status of an answer; in order, older ones are skipped. The
	// slice is the callee's.
	Status func(peer Peer, status []byte)
	// WantVector says whether the status announces a vector worth pulling.
	WantVector func(peer Peer, status []byte) bool
	// VectorPulled: the peer's vector frame, ≤ 1 MiB. The slice is the callee's.
	VectorPulled func(peer Peer, frame []byte)
	// Tick: the prober's loop came round, every 50 ms; a gap means that this
	// process stalled. The place to call policy.Liveness.Tick from.
	Tick func(now time.Time)
}

// Mesh is one agent's side of the mesh. Safe for concurrent use.
type Mesh struct{}

// NewMesh starts serving on the configured sockets. On error nothing was
// started and the sockets are still the caller's.
func NewMesh(cfg MeshConfig) (*Mesh, error) { return &Mesh{}, nil }

// Keep sets the tunnels to keep warm, dialled for ever with jittered backoff.
// Those left out take no new requests and close when idle. An endpoint whose
// address changed is dialled there, and moved when that succeeds.
func (m *Mesh) Keep(endpoints []Endpoint) {}

// Probe sets the agents to probe, every 50 ms each.
func (m *Mesh) Probe(targets []Endpoint) {}

// Tunnel returns the live tunnel to the peer, nil when there is none. It never
// dials.
func (m *Mesh) Tunnel(p Peer) *Tunnel { return nil }

// AppendTunnels appends the live tunnels to agents of the region, in no
// particular order.
func (m *Mesh) AppendTunnels(dst []*Tunnel, region string) []*Tunnel { return dst }

// Abandon fails the requests in flight to a region at once, with ErrTunnelLost,
// and closes its tunnels; they are re-dialled in the background.
func (m *Mesh) Abandon(region string) {}

// Shutdown tells peers to send nothing new here (GOAWAY) and waits until the
// requests they have in flight are done or ctx ends. Own tunnels and probes go
// on until Close.
func (m *Mesh) Shutdown(ctx context.Context) error { return nil }

// Close ends all connections and waits for every goroutine of the mesh.
func (m *Mesh) Close() error { return nil }

// PeerFrom returns who is at the other end of a request in Handler.
func PeerFrom(ctx context.Context) (Peer, bool) { return Peer{}, false }
