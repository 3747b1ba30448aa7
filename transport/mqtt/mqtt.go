// Package mqtt is the server half of MQTT 5.0 and 3.1.1 for devices that
// publish, and are sent commands. It speaks the protocol on connections that somebody else accepted and
// authenticated, keeps sessions, and hands every message to a [Handler]. A
// message is acknowledged (PUBACK, PUBREC) only when the handler accepted it.
//
// Messages of one device on one topic are handed over one after the other, so
// that their order is kept, unless the handler says that it need not be;
// different topics and different devices do not wait for one another. Sessions live in the memory of this process: QoS 2 is exactly
// once within one session here, at least once across agents.
//
// Devices subscribe to what is sent to them alone: a command is for one device,
// at QoS 0 or 1 ([Server.Deliver]). What waits for a device that is away is
// volatile, like its session.
//
// Not offered, and said so in CONNACK: retained messages, shared subscriptions,
// subscription identifiers.
package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidegate/tidegate/policy"
)

// ErrConfig is the kind of errors about a configuration that cannot be served.
var ErrConfig = errors.New("invalid MQTT configuration")

// Handler takes what devices say. Its methods are called concurrently.
type Handler interface {
	// Identify tells the device behind a connection, by its certificate or by
	// what CONNECT carries. An error refuses the connection (bad user name or
	// password, or server busy where its kind is transport.ErrBusy) and is only
	// logged. A device without an id is unknown; one that has an end (Until) loses
	// its connection then (maximum connect time). The context ends with the time
	// that a connection has for CONNECT.
	Identify(context.Context, tls.ConnectionState, Credentials) (policy.Device, error)
	// Ordered says whether a message has to wait for those that the device sent
	// before it on the same topic. It must not take long.
	Ordered(*Publication) bool
	// Subscribe says whether a device may have what is sent to it on the topics of
	// a filter, which is valid. It must not take long.
	Subscribe(d policy.Device, filter string) bool
	// Changed says that sessions of a device came, went, or subscribed; it is
	// called with locks held, must return at once and not call the server.
	Changed(device string)
	// Publish takes a message to where it belongs and says what became of it.
	// The context ends when the server closes, not with the connection.
	Publish(context.Context, *Publication) Verdict
}

// Credentials are what CONNECT carries, empty where it does not, and where it came
// from.
type Credentials struct {
	Username string
	Password string
	ClientID string // at most 256 bytes
	Client   net.Addr
}

// Publication is one message of a device.
type Publication struct {
	Device policy.Device
	Client net.Addr
	Host   string // server name that the device asked for in TLS, or the address it came to
	TLS    *tls.ConnectionState
	// ID is the same whenever this message is handed over again, as far as the
	// session knows: the device's own, from the user property "ce-id", or made
	// when the message arrived.
	ID          string
	Topic       string // without wildcards and NUL, valid UTF-8
	Payload     []byte
	QoS         byte
	ContentType string     // of MQTT 5; empty: unknown
	Properties  []Property // user properties, in order
	Received    time.Time
}

// Property is a user property of MQTT 5.
type Property struct{ Key, Value string }

// Result is what became of a message.
type Result uint8

// The results.
const (
	Accepted Result = iota // a service has it
	Refused                // never will be: access, no route, the service's own refusal
	Busy                   // not for now: overload
	Failed                 // nobody answered, or by an error; it may have been processed
)

// Code is a reason code of PUBACK and PUBREC (MQTT 5.0, section 3.4.2.1).
type Code byte

// The reason codes of verdicts.
const (
	Success                     Code = 0x00 // Accepted; the others are for the rest
	UnspecifiedError            Code = 0x80
	ImplementationSpecificError Code = 0x83
	NotAuthorized               Code = 0x87
	TopicNameInvalid            Code = 0x90
	QuotaExceeded               Code = 0x97
	PayloadFormatInvalid        Code = 0x99
)

// Verdict is the handler's word on a message.
type Verdict struct {
	Result Result
	Code   Code
	Reason string        // for people
	Retry  time.Duration // with Busy and Failed: not before; 0 counts as a second
}

// Limits bound what a device can make grow. Zero means the default.
type Limits struct {
	// MaxPacket is the largest packet taken from a device, in bytes. Default
	// 256 KiB.
	MaxPacket int
	// InFlight is how many messages of a session may wait for their
	// acknowledgement, or at QoS 0 for their turn: the receive maximum of MQTT
	// 5. As many commands may wait for the device. Default 64, at most 65,535.
	InFlight int
	// InFlightBytes bounds the payloads of each together. Default 1 MiB.
	InFlightBytes int
	// Subscriptions is how many a session may have. Default 16.
	Subscriptions int
	// TopicAliases is how many a connection may use. Default 16.
	TopicAliases int
	// SessionExpiry is the longest that a session is kept without a connection;
	// longer ones that devices ask for are shortened. MQTT 3.1.1 sessions that
	// are not clean are kept as long. Default 1 h.
	SessionExpiry time.Duration
	// Sessions bounds those that are kept without a connection: beyond, they end
	// with it. Default 100,000.
	Sessions int
	// KeepAlive is the longest that a device may ask for; MQTT 5 devices that
	// ask for more, or for none, are told this one. Default 20 min.
	KeepAlive time.Duration
	// ConnectTimeout bounds the arrival of CONNECT. Default 10 s.
	ConnectTimeout time.Duration
	// WriteTimeout bounds how long a device may not take what is sent to it.
	// Default 30 s.
	WriteTimeout time.Duration
}

// DefaultLimits returns the documented defaults.
func DefaultLimits() Limits {
	return Limits{
		MaxPacket: 256 << 10, InFlight: 64, InFlightBytes: 1 << 20, Subscriptions: 16, TopicAliases: 16,
		SessionExpiry: time.Hour, Sessions: 100_000, KeepAlive: 20 * time.Minute,
		ConnectTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
	}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	orDefault(&l.MaxPacket, d.MaxPacket)
	orDefault(&l.InFlight, d.InFlight)
	orDefault(&l.InFlightBytes, d.InFlightBytes)
	orDefault(&l.Subscriptions, d.Subscriptions)
	orDefault(&l.TopicAliases, d.TopicAliases)
	orDefault(&l.SessionExpiry, d.SessionExpiry)
	orDefault(&l.Sessions, d.Sessions)
	orDefault(&l.KeepAlive, d.KeepAlive)
	orDefault(&l.ConnectTimeout, d.ConnectTimeout)
	orDefault(&l.WriteTimeout, d.WriteTimeout)
	return l
}

func orDefault[T int | time.Duration](value *T, fallback T) {
	if *value == 0 {
		*value = fallback
	}
}

func (l Limits) check() error {
	switch {
	case l.MaxPacket < 0 || l.MaxPacket > 256<<20-1:
		return fmt.Errorf("%w: largest packet of %d bytes: use 1 to 268435455", ErrConfig, l.MaxPacket)
	case l.InFlight < 0 || l.InFlight > 65_535:
		return fmt.Errorf("%w: %d messages in flight: use 1 to 65535", ErrConfig, l.InFlight)
	case l.TopicAliases < 0 || l.TopicAliases > 65_535:
		return fmt.Errorf("%w: %d topic aliases: use 1 to 65535", ErrConfig, l.TopicAliases)
	case l.KeepAlive < 0 || l.KeepAlive > 65_535*time.Second:
		return fmt.Errorf("%w: keep-alive of %s: use 1s to 65535s", ErrConfig, l.KeepAlive)
	case l.InFlightBytes < 0 || l.Subscriptions < 0 || l.SessionExpiry < 0 || l.Sessions < 0 || l.ConnectTimeout < 0 || l.WriteTimeout < 0:
		return fmt.Errorf("%w: a limit is negative", ErrConfig)
	}
	return nil
}

// Config is what New needs. Handler is required.
type Config struct {
	Handler Handler
	// Elsewhere returns the "host:port" of an agent that devices may go to when they
	// have to leave, told to those of MQTT 5; empty, or nil: none is known.
	Elsewhere func() string
	Limits    Limits
	// Now is the time of day, that messages are said to have come at, and by which
	// devices are let in; nil: time.Now. Called concurrently.
	Now     func() time.Time
	Logger  *slog.Logger          // nil: no logs
	Metrics prometheus.Registerer // nil: not registered
}
