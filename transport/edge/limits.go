package edge

import (
	"fmt"
	"runtime"
	"time"
)

// Limits bound what strangers can make grow. Zero means the default, which
// DefaultLimits documents; negative values are refused.
//
// The defaults are safe for carrier NAT: thousands of devices of a mobile
// operator share one public address, and all come back in the same second after
// an outage. So a source gets as many connections as such an address may carry
// (it has 64,512 ports for all its subscribers and all their destinations), and
// the handshake rate is an agent's, never a source's: a flood is met by address
// validation, which devices pass at the price of one round trip.
type Limits struct {
	// MaxHeaderBytes bounds the header section of a request and, on HTTP/3, its
	// trailers. Larger ones are answered 431. Default 32 KiB.
	MaxHeaderBytes int
	// MaxHeaderFields bounds the number of header fields; more are answered
	// 431. Default 128.
	MaxHeaderFields int
	// StreamsPerConnection bounds concurrent requests of an HTTP/3 or HTTP/2
	// connection; clients wait for a free one. Default 100, the least RFC 9114
	// section 6.1 recommends.
	StreamsPerConnection int
	// ConnectionsPerAgent bounds all connections, QUIC and TCP. An idle QUIC
	// connection was measured at some 60 KiB, so 100,000, the default, need
	// about 6 GiB.
	ConnectionsPerAgent int
	// ConnectionsPerSource bounds the connections of one source, an IPv4
	// address or an IPv6 /64. Default 10,000, see above. Handshakes of forged
	// sources count as well, but RetryAbove × HeaderTimeout of them at most:
	// keep it below this.
	ConnectionsPerSource int
	// HandshakeRate bounds new connections a second, QUIC and TCP together; a
	// burst of a quarter of a second's worth is let through. More are refused before any
	// asymmetric cryptography; on QUIC each packet of a large ClientHello counts
	// as a refusal. Default 250 for each processor: a handshake was measured at 1.25 ms
	// of CPU, so that devices that all come back at once take a third of the
	// processors from those that are there.
	HandshakeRate float64
	// RetryAbove is the rate of QUIC handshakes a second from sources that have
	// not proven their address above which they must (Retry, RFC 9000 section
	// 8.1.2). Default 200.
	RetryAbove float64
	// IdleTimeout closes a connection nothing was heard of: no packet on QUIC,
	// no request on TCP. A QUIC connection that has shown no device is closed
	// after so long without a request whatever keeps it alive, one of HTTP/3 that
	// has after twenty times as long. Default 60 s: the 30 s after which common
	// NATs forget a UDP flow, twice.
	IdleTimeout time.Duration
	// KeepAlive is how long nothing may be heard of a QUIC connection before the
	// edge asks for a sign of life, which also keeps the device's NAT from
	// forgetting it; half of IdleTimeout where that is less. A device whose radio
	// must sleep is better off without: see NoKeepAlive. Default 25 s: the 30 s
	// after which common NATs forget a UDP flow, and room for a lost packet.
	KeepAlive time.Duration
	// HeaderTimeout bounds the handshake and the arrival of a request's header:
	// on HTTP/1.1 the first one counted from the connection's start, on HTTP/3
	// from the opening of the stream, looked at every quarter of this time. An
	// HTTP/3 connection with a late header gets GOAWAY and is closed
	// (H3_EXCESSIVE_LOAD) when its other requests are answered, at the latest
	// after BodyIdle. Default 10 s.
	HeaderTimeout time.Duration
	// BodyIdle bounds how long a request body may not arrive, or a response not
	// be taken, while the handler waits for it. Default 30 s.
	BodyIdle time.Duration
}

const handshakesPerProcessor = 250

// NoKeepAlive as Limits.KeepAlive leaves it to devices to keep their connections
// alive.
const NoKeepAlive time.Duration = -1

// DefaultLimits returns the documented defaults.
func DefaultLimits() Limits {
	return Limits{
		MaxHeaderBytes:       32 << 10,
		MaxHeaderFields:      128,
		StreamsPerConnection: 100,
		ConnectionsPerAgent:  100_000,
		ConnectionsPerSource: 10_000,
		HandshakeRate:        handshakesPerProcessor * float64(runtime.GOMAXPROCS(0)),
		RetryAbove:           200,
		IdleTimeout:          60 * time.Second,
		KeepAlive:            25 * time.Second,
		HeaderTimeout:        10 * time.Second,
		BodyIdle:             30 * time.Second,
	}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	orDefault(&l.MaxHeaderBytes, d.MaxHeaderBytes)
	orDefault(&l.MaxHeaderFields, d.MaxHeaderFields)
	orDefault(&l.StreamsPerConnection, d.StreamsPerConnection)
	orDefault(&l.ConnectionsPerAgent, d.ConnectionsPerAgent)
	orDefault(&l.ConnectionsPerSource, d.ConnectionsPerSource)
	orDefault(&l.HandshakeRate, d.HandshakeRate)
	orDefault(&l.RetryAbove, d.RetryAbove)
	orDefault(&l.IdleTimeout, d.IdleTimeout)
	orDefault(&l.KeepAlive, d.KeepAlive)
	orDefault(&l.HeaderTimeout, d.HeaderTimeout)
	orDefault(&l.BodyIdle, d.BodyIdle)
	return l
}

func orDefault[T int | float64 | time.Duration](value *T, fallback T) {
	if *value == 0 {
		*value = fallback
	}
}

func (l Limits) check() error {
	for name, value := range map[string]float64{
		"MaxHeaderBytes": float64(l.MaxHeaderBytes), "MaxHeaderFields": float64(l.MaxHeaderFields),
		"StreamsPerConnection": float64(l.StreamsPerConnection),
		"ConnectionsPerAgent":  float64(l.ConnectionsPerAgent), "ConnectionsPerSource": float64(l.ConnectionsPerSource),
		"HandshakeRate": l.HandshakeRate, "RetryAbove": l.RetryAbove,
		"IdleTimeout": float64(l.IdleTimeout), "HeaderTimeout": float64(l.HeaderTimeout), "BodyIdle": float64(l.BodyIdle),
	} {
		if !(value > 0) {
			return fmt.Errorf("%w: limit %s is %v: it must be positive", ErrConfig, name, value)
		}
	}
	return nil
}
