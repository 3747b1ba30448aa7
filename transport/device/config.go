package device

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/quic-go/quic-go"
)

// Protocol is what a client speaks. Either goes over QUIC, and over TLS on TCP
// where UDP is blocked.
type Protocol string

// The protocols.
const (
	MQTT  Protocol = "mqtt"  // MQTT 5 on one QUIC stream, or over TLS
	HTTP3 Protocol = "http3" // HTTP/3, or HTTP/2
)

// Endpoint is an address where agents take devices.
type Endpoint struct {
	// Addr is host:port, the same for UDP and TCP.
	Addr string
	// Region names the region behind it. When one endpoint fails, another region
	// is tried next to the other endpoints of the same one. Empty: a region of
	// its own.
	Region string
}

// Credentials say who the device is where its certificate does not. A token
// goes before user name and password.
type Credentials struct {
	Username string
	Password string
	Token    string // JWT
}

// Config is what Open needs: Endpoints, and TLS with what the device trusts and
// shows. The zero value of a field means its default.
type Config struct {
	// Endpoints of the regions that may serve this device, in any order: the
	// nearest one by round trip is used. At least one, at most 64.
	Endpoints []Endpoint
	// TLS holds the device's certificate, the authorities it trusts and, where it
	// differs from the endpoint's host, the server name. Versions before 1.3 are
	// not spoken, and NextProtos is set by the client. Default: the system's
	// authorities, no certificate.
	TLS *tls.Config
	// Credentials that do not change. Default: none.
	Credentials Credentials
	// Refresh is asked for credentials before each connection instead, such as a
	// fresh token. Its context ends after DialTimeout. Default: Credentials.
	Refresh func(context.Context) (Credentials, error)
	// ClientID is MQTT's client identifier, by which commands wait for a device
	// that is away for a short time. Default: random, and kept in the outbox's
	// file where there is one.
	ClientID string
	// Protocol is MQTT or HTTP3. Default MQTT.
	Protocol Protocol

	// Outbox is the file that keeps messages until a service has them. One
	// process may use it at a time. Default: memory only, nothing survives the
	// process.
	Outbox string
	// OutboxMessages bounds how many messages wait. Default 10,000.
	OutboxMessages int
	// OutboxBytes bounds what they hold together, nearly. Default 16 MiB.
	OutboxBytes int
	// MaxPayload bounds the payload of a message, in bytes. Agents may take less
	// and refuse. Default 240 KiB, which fits into an agent's default of 256 KiB
	// for a packet.
	MaxPayload int
	// InFlight bounds the messages that are sent and not yet acknowledged. An
	// agent may allow less. Default 32, at most 1,000.
	InFlight int
	// InFlightPerTopic bounds them for a topic. Default 1, which keeps the order
	// of messages on a topic even where one of them has to be sent again; more
	// is faster over long distances and gives that up.
	InFlightPerTopic int

	// Commands are topic filters of MQTT to subscribe to, such as
	// "commands/d1/#". They need a Handler. Default: none.
	Commands []string
	// Handler does what a command says; nil acknowledges it, an error refuses it
	// with its text as the reason. Commands are handled one after the other, in a
	// goroutine of their own; a command that is delivered again soon after it was
	// done is acknowledged without asking. The context ends with the client.
	Handler func(context.Context, Command) error

	// Settled is told of each message that leaves the outbox: nil, a service has
	// it; else an error of kind ErrRefused or ErrExpired. Messages of an earlier
	// life of the process are told only here. It must return soon: everything
	// else waits. The message has no payload. Default: nobody is told.
	Settled func(Message, error)
	// OnState is told of each change of State, in order. It must return soon, and
	// must not call Close. Default: nobody is told.
	OnState func(State)
	// Logger. Default: no logs. No payload and no secret is logged.
	Logger *slog.Logger

	// KeepAlive is how long nothing is sent before a sign of life is asked for;
	// a connection that died while nothing was under way is noticed then. It
	// keeps the flow open in NATs, which forget UDP after 30 s, some earlier.
	// Default 20 s, at least 1 s, at most 10 min.
	KeepAlive time.Duration
	// Silence is how long nothing may be heard of an agent while something is
	// under way: then the device goes elsewhere. Two round trips are added, and
	// on TCP the time that what is under way takes at 16 KiB/s; it doubles, up to
	// eight times, where connections fall silent one after the other. Default 1 s,
	// at least 200 ms.
	Silence time.Duration
	// Stagger is how long one endpoint is given before the next one is tried
	// beside it: at least this long, and where the nearest one is far four of its
	// round trips, up to 1 s. Default 250 ms.
	Stagger time.Duration
	// DialTimeout bounds a handshake, and then the greeting on it. Default 5 s.
	DialTimeout time.Duration
	// Backoff and BackoffMost bound the pause before all endpoints are tried
	// again: a random time up to Backoff, doubled each time up to BackoffMost
	// ("full jitter"). Defaults 500 ms and 30 s.
	Backoff, BackoffMost time.Duration
	// AckTimeout is how long an acknowledgement may take on a connection that is
	// otherwise alive; then the message is sent again. Default 60 s.
	AckTimeout time.Duration
	// Return is how often, on average, it is looked whether a nearer endpoint
	// than the one in use answers again; each device picks its own time, half as
	// much to half as much again. Default 5 min; negative: never.
	Return time.Duration
	// SessionExpiry is how long an agent is asked to keep an MQTT session without
	// a connection. Default 5 min.
	SessionExpiry time.Duration
	// Probe is how many endpoints, of different regions, are tried at once at the
	// start to find the nearest. Default 3.
	Probe int

	// Transport is a QUIC transport to share between clients of one process. The
	// client does not close it. Default: one of its own, on any port.
	Transport *quic.Transport
	// NoUDP and NoTCP leave out one of the ways. Default: both are used.
	NoUDP, NoTCP bool
}

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config {
	return Config{
		TLS: &tls.Config{}, Protocol: MQTT,
		OutboxMessages: 10_000, OutboxBytes: 16 << 20, MaxPayload: 240 << 10, InFlight: 32, InFlightPerTopic: 1,
		Logger:    slog.New(slog.DiscardHandler),
		KeepAlive: 20 * time.Second, Silence: time.Second, Stagger: 250 * time.Millisecond, DialTimeout: 5 * time.Second,
		Backoff: 500 * time.Millisecond, BackoffMost: 30 * time.Second, AckTimeout: time.Minute,
		Return: 5 * time.Minute, SessionExpiry: 5 * time.Minute, Probe: 3,
	}
}

func (c Config) complete() (Config, error) {
	d := DefaultConfig()
	orDefault(&c.TLS, d.TLS)
	orDefault(&c.Protocol, d.Protocol)
	orDefault(&c.OutboxMessages, d.OutboxMessages)
	orDefault(&c.OutboxBytes, d.OutboxBytes)
	orDefault(&c.MaxPayload, d.MaxPayload)
	orDefault(&c.InFlight, d.InFlight)
	orDefault(&c.InFlightPerTopic, d.InFlightPerTopic)
	orDefault(&c.Logger, d.Logger)
	orDefault(&c.KeepAlive, d.KeepAlive)
	orDefault(&c.Silence, d.Silence)
	orDefault(&c.Stagger, d.Stagger)
	orDefault(&c.DialTimeout, d.DialTimeout)
	orDefault(&c.Backoff, d.Backoff)
	orDefault(&c.BackoffMost, d.BackoffMost)
	orDefault(&c.AckTimeout, d.AckTimeout)
	orDefault(&c.Return, d.Return)
	orDefault(&c.SessionExpiry, d.SessionExpiry)
	orDefault(&c.Probe, d.Probe)
	if c.Settled == nil {
		c.Settled = func(Message, error) {}
	}
	if c.OnState == nil {
		c.OnState = func(State) {}
	}
	if c.Refresh == nil {
		fixed := c.Credentials
		c.Refresh = func(context.Context) (Credentials, error) { return fixed, nil }
	}
	return c, c.check()
}

func orDefault[T comparable](value *T, fallback T) {
	var zero T
	if *value == zero {
		*value = fallback
	}
}

func (c *Config) check() error {
	if err := c.checkEndpoints(); err != nil {
		return err
	}
	switch {
	case c.Protocol != MQTT && c.Protocol != HTTP3:
		return fmt.Errorf("%w: protocol %q: use %q or %q", ErrConfig, c.Protocol, MQTT, HTTP3)
	case c.NoUDP && c.NoTCP:
		return fmt.Errorf("%w: neither UDP nor TCP may be used", ErrConfig)
	case (len(c.Commands) > 0) != (c.Handler != nil):
		return fmt.Errorf("%w: commands to subscribe to and a handler belong together", ErrConfig)
	case len(c.ClientID) > idMost || !speakable(c.ClientID):
		return fmt.Errorf("%w: client identifier %.80q: use at most %d bytes of UTF-8", ErrConfig, c.ClientID, idMost)
	case c.InFlight < 1 || c.InFlight > 1000:
		return fmt.Errorf("%w: %d messages in flight: use 1 to 1000", ErrConfig, c.InFlight)
	case c.InFlightPerTopic < 1 || c.OutboxMessages < 1 || c.OutboxBytes < 1 || c.MaxPayload < 1 || c.Probe < 1:
		return fmt.Errorf("%w: a limit is negative", ErrConfig)
	case c.KeepAlive < time.Second || c.KeepAlive > 10*time.Minute:
		return fmt.Errorf("%w: keep-alive of %s: use 1s to 10m", ErrConfig, c.KeepAlive)
	case c.Silence < 200*time.Millisecond:
		return fmt.Errorf("%w: silence of %s: use at least 200ms", ErrConfig, c.Silence)
	case c.Stagger < 0 || c.DialTimeout < 0 || c.Backoff < 0 || c.BackoffMost < c.Backoff || c.AckTimeout < 0 || c.SessionExpiry < 0:
		return fmt.Errorf("%w: a time is negative, or BackoffMost is less than Backoff", ErrConfig)
	}
	return c.checkFilters()
}

func (c *Config) checkEndpoints() error {
	if len(c.Endpoints) == 0 || len(c.Endpoints) > 64 {
		return fmt.Errorf("%w: %d endpoints: give 1 to 64", ErrConfig, len(c.Endpoints))
	}
	seen := map[string]bool{}
	for _, e := range c.Endpoints {
		if host, port, err := net.SplitHostPort(e.Addr); err != nil || host == "" || port == "" {
			return fmt.Errorf("%w: endpoint %q: use host:port", ErrConfig, e.Addr)
		}
		if seen[e.Addr] {
			return fmt.Errorf("%w: endpoint %q is there twice", ErrConfig, e.Addr)
		}
		seen[e.Addr] = true
	}
	return nil
}

func (c *Config) checkFilters() error {
	for _, f := range c.Commands {
		if !validFilter(f) {
			return fmt.Errorf("%w: topic filter %.80q: + stands for a level, # at the end for all below", ErrConfig, f)
		}
	}
	return nil
}

// validFilter checks a topic filter (MQTT 5.0, section 4.7.1).
func validFilter(filter string) bool {
	if filter == "" || len(filter) > topicMost || !speakable(filter) {
		return false
	}
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		if strings.ContainsAny(level, "+#") && level != "+" && (level != "#" || i != len(levels)-1) {
			return false
		}
	}
	return true
}
