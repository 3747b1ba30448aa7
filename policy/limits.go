package policy

import "time"

// What a policy may grow to. Parse refuses more with a diagnostic.
const (
	MaxSource       = 1 << 20   // bytes of all files together
	MaxRoutes       = 10_000    // routes
	MaxAccess       = 1_000     // access blocks
	MaxPayloadLimit = 64 << 10  // bytes of match.payload_limit
	MaxRespondBody  = 64 << 10  // bytes of respond.body
	MaxTimeout      = time.Hour // of services and routes; the least is a millisecond
	MaxAttempts     = 3         // of retry.attempts
	DefaultAttempts = 2         // of retry.attempts
	MaxInFlight     = 100_000   // of limit.in_flight
	MaxBurst        = 100_000   // of an access block's limit.burst

	// CostLimit bounds one evaluation of a `when`, in CEL's units of cost (about
	// one for each step and each ten bytes of text looked at). An expression
	// that exceeds it does not match.
	CostLimit = 10_000
	// MaxWhen is the longest `when`, in characters.
	MaxWhen = 8 << 10

	maxName          = 128 // bytes of the name of a service, subset, route or region
	maxSegments      = 64  // of a path pattern
	maxDevicePattern = 256 // bytes of a pattern of device ids
	maxDepth         = 100 // of brackets and blocks in a source
	maxOperatorRun   = 1000
	maxFindings      = 1000 // kept and sorted
	maxDiagnostics   = 50   // returned
	maxFaultyText    = 200  // characters
	maxExplained     = 200  // routes listed in a trace for a differing host or path
)
