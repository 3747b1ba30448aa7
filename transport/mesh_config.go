package transport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	// Limits on what peers may use; zero fields take their defaults.
	Limits Limits
	// Now is the time of day, by which certificates are valid; nil: time.Now.
	// Called concurrently.
	Now func() time.Time
	// Logger; nil: discarded.
	Logger *slog.Logger
	// Metrics; nil: not exported.
	Metrics prometheus.Registerer
}

// Limits bounds what a peer, known or not, can make a mesh spend.
type Limits struct {
	Connections         int     // accepted ones in all, handshakes over QUIC included; default 4096
	HandshakesTCP       int     // over TCP at a time, beside Connections: of strangers until a certificate is shown; default 256
	ConnectionsPerAgent int     // of each kind (tunnel, probe); the oldest gives way; default 4
	StreamsPerTunnel    int     // concurrent requests a tunnel, either way; default 10000
	HeaderBytes         int     // of a request or response; default 64 KiB
	HandshakesPerSecond float64 // from unproven addresses; above it they must prove theirs by QUIC Retry; default 100
	ProbesPerSecond     float64 // datagrams answered a connection; default 60
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Connections:         cmp.Or(l.Connections, 4096),
		HandshakesTCP:       cmp.Or(l.HandshakesTCP, 256),
		ConnectionsPerAgent: cmp.Or(l.ConnectionsPerAgent, 4),
		StreamsPerTunnel:    cmp.Or(l.StreamsPerTunnel, 10_000),
		HeaderBytes:         cmp.Or(l.HeaderBytes, 64<<10),
		HandshakesPerSecond: cmp.Or(l.HandshakesPerSecond, 100),
		ProbesPerSecond:     cmp.Or(l.ProbesPerSecond, 60),
	}
}

func (l Limits) check() error {
	if l.Connections < 1 || l.HandshakesTCP < 1 || l.ConnectionsPerAgent < 1 || l.StreamsPerTunnel < 1 || l.HeaderBytes < 1024 ||
		l.HandshakesPerSecond <= 0 || l.ProbesPerSecond <= 0 {
		return fmt.Errorf("limits %+v: all must be positive, HeaderBytes at least 1024", l)
	}
	return nil
}

// Probes is the owner's side of probing. All functions may be nil. They are
// called from the mesh's goroutines, concurrently for different peers, and
// must not block.
type Probes struct {
	// Answer returns the status sent with every answer, at most 200 bytes; a
	// longer one is not sent.
	Answer func(from Peer) []byte
	// Vector returns the frames of this region's newest vector for a peer that
	// has what it says, at most 32 bytes, as its WantVector returned it: at most
	// 1 MiB, nil for none.
	Vector func(have []byte) []byte
	// Heard: a peer that is probed answered a probe, or a request, since the last Tick. What it sends by itself
	// does not count: it may come through where nothing goes the other way.
	Heard func(peer Peer, now time.Time)
	// RTT: a probe was answered after d.
	RTT func(peer Peer, d time.Duration, now time.Time)
	// Status: the status of an answer, in order; overtaken ones are skipped.
	// The slice is the callee's.
	Status func(peer Peer, status []byte)
	// WantVector says whether the status announces a vector worth pulling, and
	// what is held already, at most 32 bytes.
	WantVector func(peer Peer, status []byte) (have []byte, want bool)
	// VectorPulled: the frames of the peer's vector. The slice is the callee's.
	VectorPulled func(peer Peer, frame []byte)
	// Tick: the mesh's loop came round, every 50 ms, after Heard was called
	// for what came in; a gap means that this process stalled. The place to
	// call policy.Liveness.Tick from.
	Tick func(now time.Time)
}

func (p Probes) withDefaults() Probes {
	if p.Answer == nil {
		p.Answer = func(Peer) []byte { return nil }
	}
	if p.Vector == nil {
		p.Vector = func([]byte) []byte { return nil }
	}
	if p.Heard == nil {
		p.Heard = func(Peer, time.Time) {}
	}
	if p.RTT == nil {
		p.RTT = func(Peer, time.Duration, time.Time) {}
	}
	if p.Status == nil {
		p.Status = func(Peer, []byte) {}
	}
	if p.WantVector == nil {
		p.WantVector = func(Peer, []byte) ([]byte, bool) { return nil, false }
	}
	if p.VectorPulled == nil {
		p.VectorPulled = func(Peer, []byte) {}
	}
	if p.Tick == nil {
		p.Tick = func(time.Time) {}
	}
	return p
}

func (c *MeshConfig) complete() error {
	if c.Conn == nil || c.Credentials == nil {
		return errors.New("mesh: Conn and Credentials are required")
	}
	if self := c.Credentials.Self(); self != c.Self {
		return fmt.Errorf("mesh: %w: the certificate names %s, the configuration %s", ErrIdentity, self, c.Self)
	}
	c.Limits = c.Limits.withDefaults()
	if err := c.Limits.check(); err != nil {
		return fmt.Errorf("mesh: %w", err)
	}
	c.Probes = c.Probes.withDefaults()
	if c.Deny == nil {
		c.Deny = func(Peer) bool { return false }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Handler == nil {
		c.Handler = http.NotFoundHandler()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// timing is what tests shorten.
type timing struct {
	pulse        time.Duration // between probes, and between looks at what came in
	probeTCP     time.Duration // between probes over TCP
	keepAlive    time.Duration
	silence      time.Duration // of a tunnel, before it is given up
	probeSilence time.Duration // of a probe connection
	dial         time.Duration // one attempt
	backoffMin   time.Duration
	backoffMax   time.Duration
	settled      time.Duration // a connection that lived so long was a success
	retryQUIC    time.Duration // while on TCP
	tcpAfter     int           // failed QUIC dials
}

func defaultTiming() timing {
	return timing{
		pulse:        50 * time.Millisecond,
		probeTCP:     200 * time.Millisecond,
		keepAlive:    300 * time.Millisecond,
		silence:      time.Second,
		probeSilence: 3 * time.Second,
		dial:         3 * time.Second,
		backoffMin:   50 * time.Millisecond,
		backoffMax:   5 * time.Second,
		settled:      time.Second,
		retryQUIC:    30 * time.Second,
		tcpAfter:     3,
	}
}
