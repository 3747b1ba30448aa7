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
	// way here (missing key, payload absent or not JSON, cost over CostLimit)
	// and so did not match; a trace holds the reasons.
	Failed int

	matched string // the message's escaped path, which the captures are read from
}

// Decide finds the route of a message and the branch of its split. rng is a
// uniformly random value; the same rng gives the same answer. t may be nil,
// which records nothing. Safe for concurrent use; m is only read.
//
// A path with dot segments (in any spelling), empty segments before the last,
// control characters or broken escapes matches no route.
func (p *Policy) Decide(m *Message, rng uint64, t *Trace) Decision {
	d := Decision{Host: m.Host, Path: m.Path, Query: m.Query}
	if fault := pathFault(m.Path); fault != "" {
		t.Pass("route", m.Path, fault)
		return d
	}
	s := search{m: m}
	if t != nil {
		s.notes = map[*Route]string{}
	}
	r := p.index.first(&s)
	if t != nil {
		p.explain(&s, r, t)
	}
	d.Failed = s.failed
	if r != nil {
		d.take(r, m, rng, t)
	}
	return d
}

func (d *Decision) take(r *Route, m *Message, rng uint64, t *Trace) {
	d.Route, d.matched = r, m.Path
	if r.Respond != nil {
		return
	}
	branch, bucket := r.pick(m.Device.ID, rng)
	d.Target, d.Service, d.Timeout = r.Forward[branch].Target, r.services[branch], r.Timeout
	if !r.explicitTimeout {
		d.Timeout = d.Service.Timeout
	}
	if r.rewrite.path != nil {
		d.Path = r.rewrite.path.render(d.escaped)
	}
	if r.rewrite.host != nil {
		d.Host = r.newHost(m.Path)
	}
	if t != nil {
		r.explainSplit(branch, bucket, m.Device.ID, t)
	}
}

// PayloadLimit returns how many bytes of the body must be read into
// Message.Payload before Decide: the largest limit of the routes that this
// message may still get and that look at the payload. 0: none, as almost
// always. At most MaxPayloadLimit.
func (p *Policy) PayloadLimit(m *Message) int {
	if !p.index.payload || pathFault(m.Path) != "" {
		return 0
	}
	s := search{m: m, measure: true}
	p.index.first(&s)
	return s.limit
}

// MayPassEachOther says that there are routes on which the order of messages is
// not kept: where not, Ordered need not be asked.
func (p *Policy) MayPassEachOther() bool { return p.index.unsorted }

// Ordered says whether a publication has to wait for those before it on its
// topic: unless its route says otherwise. m is only read.
func (p *Policy) Ordered(m *Message) bool {
	d := p.Decide(m, 0, nil)
	return d.Route == nil || !d.Route.Unordered
}

// Captures returns the decoded captures of the path by name, nil when the route
// has none. A capture of the rest is decoded segment by segment, so an escaped
// slash in it can no longer be told from a slash; Path keeps them apart.
func (d *Decision) Captures() map[string]string {
	if d.Route == nil {
		return nil
	}
	return d.Route.pattern.all(d.matched)
}

func (p pathPattern) all(path string) map[string]string {
	var captures map[string]string
	for i, s := range p {
		if s.kind == literalSegment || s.text == "" {
			continue
		}
		if captures == nil {
			captures = map[string]string{}
		}
		captures[s.text] = p.value(path, i)
	}
	return captures
}

func (d *Decision) value(index int) string   { return d.Route.pattern.value(d.matched, index) }
func (d *Decision) escaped(index int) string { return d.Route.pattern.escaped(d.matched, index) }

// ApplyRequest makes the route's changes to the headers of a request on its way
// to the service: first removed, then set. Keys are canonical, as in
// http.Header. Captures in values are decoded and hold no control character.
// It does nothing when no route matched.
func (d *Decision) ApplyRequest(h map[string][]string) {
	if d.Route != nil {
		d.Route.rewrite.request.apply(h, d)
	}
}

// ApplyResponse makes the route's changes to the headers of the service's
// answer, as ApplyRequest does.
func (d *Decision) ApplyResponse(h map[string][]string) {
	if d.Route != nil {
		d.Route.rewrite.response.apply(h, d)
	}
}
