package config

import "time"

// Defaults returns the configuration that stands where nothing is set. It is
// not complete: Region, certificates, gossip keys and sources have no default.
func Defaults() *Config {
	return &Config{
		Group:        "default",
		DataDir:      "/var/lib/tidegate",
		DrainTimeout: 30 * time.Second,
		Log:          Log{Level: "info", Format: "text", Access: AccessLog{Sample: 0.01}},
		Listeners: Listeners{
			Edge:  EdgeBind{Addr: ":7443"},
			Mesh:  MeshBind{Addr: ":7444", TCP: true},
			LAN:   Bind{Addr: ":7946"},
			WAN:   Bind{Addr: ":7947"},
			Admin: Control{Addr: defaultAdminAddr},
		},
		TLS:    TLS{Edge: EdgeTLS{ClientAuth: ClientAuthRequire}},
		Gossip: Gossip{Timing: TimingDefault},
		Limits: DefaultLimits(),
		Fault:  Fault{Addr: ":7445"},
	}
}

// DefaultLimits returns the limits that stand where nothing is set.
func DefaultLimits() Limits {
	return Limits{
		MaxHeaderBytes:       32 << 10,
		MaxHeaderFields:      128,
		StreamsPerConnection: 100,
		Connections:          100_000,
		ConnectionsPerSource: 10_000,
		RetryAbove:           200,
		HeaderTimeout:        10 * time.Second,
		BodyTimeout:          30 * time.Second,
		IdleTimeout:          60 * time.Second,
		KeepAlive:            25 * time.Second,
		MQTTPacket:           256 << 10,
		MQTTInFlight:         64,
		MQTTSessionExpiry:    time.Hour,
		MQTTKeepAlive:        20 * time.Minute,
		MeshStreams:          10000,
		MeshConnections:      4096,
		UpstreamIdle:         64,
	}
}

// The values of EdgeTLS.ClientAuth.
const (
	ClientAuthRequire  = "require"
	ClientAuthOptional = "optional"
	ClientAuthNone     = "none"
)

// The values of Gossip.Timing.
const (
	TimingDefault = "default"
	TimingFast    = "fast"
)

// The values of Consul.Check.
const (
	CheckTTL  = "ttl"
	CheckHTTP = "http"
)

const (
	defaultAdminAddr  = "127.0.0.1:7400"
	defaultEgressAddr = "127.0.0.1:7080"
	defaultReadyAddr  = ":7401"
	defaultMQTTAddr   = ":8883"
)

// presets fills a block that was opened and has defaults of its own.
func presets(block any) {
	switch b := block.(type) {
	case *Consul:
		b.Check = CheckTTL
		b.WaitTime = time.Minute
		b.DistrustFor = 5 * time.Minute
		b.TTL = 15 * time.Second
		b.DeregisterAfter = 30 * time.Minute
	case *QUICLB:
		b.NonceLength = 8
	case *JWT:
		b.Device = "sub"
		b.Every = 5 * time.Minute
	case *Hook:
		b.Timeout = 2 * time.Second
		b.CacheFor = time.Minute
		b.RefusedFor = 5 * time.Second
		b.MaxCached = 10_000
		b.MaxInFlight = 64
	case *MQTTBind:
		b.Addr = defaultMQTTAddr
	case *ReadyBind:
		b.Addr = defaultReadyAddr
	case *Control:
		b.Addr = defaultEgressAddr
	}
}
