package policy

import "time"

// Decision is what the policy says of one message. It refers to the message's
// strings, so it is valid as long as they are.
type Decision struct {
	Route   *Route        // nil: nothing matched
	Target  Target        // zero when the route responds
	Service *Service      // of Target; nil when the route responds
	Timeout time.Duration // the route's, else Service's; 0 when the route responds
	Host    string        // for the service: rewritten, else the message's
	Path    string        // for the service, escaped: rewritten, else the message's
	Query   string        // the message's
	// Failed counts the `when` conditions that could not be evaluated on the
	// way here (missing key, cost over CostLimit and the like) and so did not
	// match; a trace holds the reasons.
	Failed int

	matched string // the message's escaped path, for captures
}

// Decide finds the route of a message and the branch of its split. rng is a
// uniformly random value; the same rng gives the same answer. t may be nil,
// which records nothing. Safe for concurrent use; m is only read.
func (p *Policy) Decide(m *Message, rng uint64, t *Trace) Decision {
	return Decision{Host: m.Host, Path: m.Path, Query: m.Query}
}

// PayloadLimit returns how many bytes of the body must be read into
// Message.Payload before Decide: the largest limit of any route that this
// message may still get and that looks at the payload. 0: none.
func (p *Policy) PayloadLimit(m *Message) int { return 0 }

// Captures returns the decoded captures of the path by name, nil when the route
// has none. A capture of the rest is decoded segment by segment.
func (d *Decision) Captures() map[string]string { return nil }

// ApplyRequest makes the route's changes to the headers of a request on its way
// to the service: first removed, then set. Keys are canonical, as in
// http.Header. It does nothing when no route matched.
func (d *Decision) ApplyRequest(h map[string][]string) {}

// ApplyResponse makes the route's changes to the headers of the service's
// answer, as ApplyRequest does.
func (d *Decision) ApplyResponse(h map[string][]string) {}
