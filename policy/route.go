package policy

import "time"

// Route is one compiled route of a policy: what it matches and what is done.
// Exactly one of Forward and Respond is given.
type Route struct {
	Name  string
	Class Class // default Normal
	// Timeout bounds the whole request, retries and regions included. Where the
	// route gives none it is the longest of its services' timeouts; see
	// Decision.Timeout for the one that counts. 0 when the route responds.
	Timeout time.Duration
	Regions []string // allowed regions, in no order; empty: what the service's Failover says
	Forward []Forward
	Sticky  bool // split by hash of the device's id instead of at random
	// Unordered lets messages of one device on one topic pass each other. Only
	// MQTT has an order to keep.
	Unordered bool
	Batch     *Batch      // nil: each message reaches the service in a request of its own
	Fault     *RouteFault // nil: none
	// Anonymous lets clients in whose device is not known, where the policy has
	// access blocks.
	Anonymous bool
	Retry     Retry
	Respond   *Respond
	Match     Match
	// Place is where the route stands in its file, as "file:line".
	Place string

	explicitTimeout bool
	sourceOrder     int
	rank            int // position in Policy.Routes
	pattern         pathPattern
	when            *condition
	services        []*Service // of Forward, by index
	rewrite         rewrite
}

// Match is what a route asks of a message, as written; for display.
type Match struct {
	Methods      []string // upper case; empty: all
	Host         string   // lower case; exact, or "*." and a suffix; empty: all
	Path         string   // pattern; empty: all
	Headers      []HeaderMatch
	When         string // CEL; empty: always
	PayloadLimit int    // bytes that When may read of the body; 0: none
}

// HeaderMatch asks that a header has a value, or with Any that it is present.
type HeaderMatch struct {
	Name  string // canonical
	Value string
	Any   bool
}

// Forward is one branch of a route's split.
type Forward struct {
	Target Target
	Weight int // percent, 0 to 100; all of a route sum to 100
}

// Retry says how often and when a failed request is tried again.
type Retry struct {
	Attempts   int // in all, the first included: 1 to 3, default 2
	Idempotent Idempotence
}

// Idempotence says whether requests of a route may be processed twice.
type Idempotence uint8

// The three states of Retry.Idempotent.
const (
	IdempotentByMethod Idempotence = iota // RFC 9110 section 9.2.2; the default
	IdempotentAlways                      // the route says idempotent = true
	IdempotentNever                       // the route says idempotent = false
)

func idempotentMethod(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// Respond is a fixed answer that the agent gives itself.
type Respond struct {
	Status  int               // 200 to 599, default 200
	Headers map[string]string // by canonical name
	Body    string            // at most 64 KiB
}
