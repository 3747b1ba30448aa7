package config

import "time"

// Limits bound what devices and peers can make the agent hold. The defaults
// suit an agent with 4 GiB of memory and leave room for carrier NAT, where
// thousands of devices share one source address; package edge says why.
type Limits struct {
	// MaxHeaderBytes is the largest header section of a device request.
	// Default 32KiB, range 1KiB–1MiB.
	MaxHeaderBytes Size `hcl:"max_header_bytes"`
	// MaxHeaderFields is how many header fields a device request may have.
	// Default 128, range 10–1000.
	MaxHeaderFields int `hcl:"max_header_fields"`
	// StreamsPerConnection is how many requests a device may have open at once
	// on one connection. Default 100, range 1–10000.
	StreamsPerConnection int `hcl:"streams_per_connection"`
	// Connections is how many device connections the agent holds, over all
	// protocols. Default 100000, range 1–10000000.
	Connections int `hcl:"connections"`
	// ConnectionsPerSource is the same for one source address (IPv6: one /64).
	// Default 10000, range 1–10000000.
	ConnectionsPerSource int `hcl:"connections_per_source"`
	// HandshakesPerSecond is how many TLS handshakes the agent starts for
	// devices in a second; those above are refused. Default 0: 250 for each
	// processor; at most 1000000.
	HandshakesPerSecond int `hcl:"handshakes_per_second"`
	// RetryAbove is the number of handshakes in a second from which on a QUIC
	// client must prove its address first (a Retry packet, one more round
	// trip). Default 200, range 1–1000000.
	RetryAbove int `hcl:"retry_above"`
	// HeaderTimeout ends a request whose header does not arrive. Default 10s,
	// range 1s–5m.
	HeaderTimeout time.Duration `hcl:"header_timeout"`
	// BodyTimeout ends a request whose body makes no progress for so long.
	// Default 30s, range 1s–10m.
	BodyTimeout time.Duration `hcl:"body_timeout"`
	// IdleTimeout closes a connection without traffic. Default 60s, range
	// 5s–1h; keep it above the devices' keep-alive.
	IdleTimeout time.Duration `hcl:"idle_timeout"`
	// KeepAlive is the silence of a QUIC connection after which the agent asks for a
	// sign of life, so that the device's NAT does not forget it. Default 25s, range
	// 1s–5m; 0s leaves it to the devices.
	KeepAlive time.Duration `hcl:"keep_alive"`
	// MQTTPacket is the largest MQTT packet taken from a device. Default 256KiB,
	// range 1KiB–16MiB.
	MQTTPacket Size `hcl:"mqtt_packet"`
	// MQTTInFlight is how many messages of an MQTT session may be under way:
	// its receive maximum. Default 64, range 1–65535.
	MQTTInFlight int `hcl:"mqtt_in_flight"`
	// MQTTSessionExpiry is the longest that an MQTT session outlives its
	// connection. Default 1h, range 1s–168h.
	MQTTSessionExpiry time.Duration `hcl:"mqtt_session_expiry"`
	// MQTTKeepAlive is the longest keep-alive that MQTT 5 devices may ask for.
	// Default 20m, range 5s–18h.
	MQTTKeepAlive time.Duration `hcl:"mqtt_keep_alive"`
	// MeshConnections is how many connections of other agents this one holds,
	// handshakes included. Default 4096, range 16–1000000.
	MeshConnections int `hcl:"mesh_connections"`
	// MeshStreams is how many requests one tunnel carries at once. Default
	// 10000, range 1–1000000.
	MeshStreams int `hcl:"mesh_streams"`
	// UpstreamIdle is how many idle connections are kept to each local instance.
	// Default 64, range 1–10000.
	UpstreamIdle int `hcl:"upstream_idle"`
}
