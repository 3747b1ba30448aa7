package edge

import "time"

// Limits bounds what strangers can make grow.
type Limits struct {
	MaxHeaderBytes       int
	MaxHeaderFields      int
	StreamsPerConnection int
	ConnectionsPerAgent  int
	ConnectionsPerSource int
	HandshakeRate        float64
	RetryAbove           float64
	IdleTimeout          time.Duration
	HeaderTimeout        time.Duration
	BodyIdle             time.Duration
}
