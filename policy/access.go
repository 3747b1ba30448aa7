package policy

import (
	"slices"
	"strings"
)

// Access is one compiled access block: some devices, and what they may send, or
// be sent.
type Access struct {
	Name       string
	Place      string          // "file:line"
	Services   []string        // patterns of local services whose commands it is about; empty: about what devices send
	Devices    []string        // patterns of ids, "*" stands for any run of characters; empty: all
	Properties []PropertyMatch // all of which the device has
	When       string          // CEL; empty: always
	Audit      bool            // what nothing allows these devices is let in, and counted
	Allow      []Allow
	Limits     []RateRule // on all that the block allows together

	when *condition
}

// PropertyMatch asks that a device has a property of a value, or with Any that
// it has it at all.
type PropertyMatch struct {
	Name, Value string
	Any         bool
}

// Allow is what a block lets its devices send, or be sent.
type Allow struct {
	Methods []string // upper case; empty: all
	Path    string   // pattern, or topic filter, with ${device.id} and the like; empty: all

	pattern accessPath
}

// AccessVerdict says whether a device may send a message.
type AccessVerdict struct {
	Allowed bool
	Rule    string     // the block that lets it in
	Limits  []RateRule // of that block, for Rates.Take
	Audit   string     // the block by which it is let in although nothing allows it; it should be counted
	// Failed counts the conditions that could not be evaluated, as
	// Decision.Failed does.
	Failed int
}

// Access says whether a device may send a message: where the policy has access
// blocks, only what one of them allows. It judges devices that are known by an
// id; whether others may use a route is what AllowsUnknown says. t may be nil.
// Safe for concurrent use; m is only read.
func (p *Policy) Access(m *Message, t *Trace) AccessVerdict {
	if len(p.access) == 0 && !p.Denied(m.Device) {
		return AccessVerdict{Allowed: true}
	}
	v := p.judge(m, t)
	if t != nil {
		p.explainAccess(m, &v, t)
	}
	return v
}

func (p *Policy) judge(m *Message, t *Trace) (v AccessVerdict) {
	if p.Denied(m.Device) || pathFault(m.Path) != "" {
		return v
	}
	for _, a := range p.access {
		miss, err := a.judge(m, &v)
		if miss == allows {
			v.Allowed, v.Rule, v.Limits, v.Audit = true, a.Name, a.Limits, ""
			return v
		}
		if t != nil {
			t.Pass("access", a.Name, "%s", a.explain(miss, err))
		}
	}
	v.Allowed = v.Audit != ""
	return v
}

// explainAccess ends a trace of why blocks were passed over with the verdict.
func (p *Policy) explainAccess(m *Message, v *AccessVerdict, t *Trace) {
	switch fault := pathFault(m.Path); {
	case p.Denied(m.Device):
		t.Pass("access", "deny", "device %s is denied by %q", m.Device.ID, p.deniedBy(m.Device.ID))
	case fault != "":
		t.Pass("access", m.Path, "%s", fault)
	case v.Rule != "" && m.Method == MethodCommand:
		t.Take("access", v.Rule, "lets service %q send device %s %s", m.Service, m.Device.ID, m.Path)
	case v.Rule != "":
		t.Take("access", v.Rule, "lets device %s send %s %s", m.Device.ID, m.Method, m.Path)
	case v.Audit != "":
		t.Take("access", v.Audit, "nothing allows it, but this block only counts what would be refused")
	default:
		t.Pass("access", "(none)", "nothing allows device %s to send %s %s", m.Device.ID, m.Method, m.Path)
	}
}

// accessMiss is why a block does not let a message in.
type accessMiss uint8

const (
	allows accessMiss = iota
	otherSender
	otherDevice
	otherProperty
	falseWhen
	failedWhen
	otherRequest
)

// judge notes in v the first block that only audits the device. err goes with
// failedWhen.
func (a *Access) judge(m *Message, v *AccessVerdict) (miss accessMiss, err error) {
	if miss, err = a.misfit(m); miss != allows {
		if miss == failedWhen {
			v.Failed++
		}
		return miss, err
	}
	if a.Audit && v.Audit == "" {
		v.Audit = a.Name
	}
	for i := range a.Allow {
		if a.Allow[i].holds(m) {
			return allows, nil
		}
	}
	return otherRequest, nil
}

// misfit says why a block is not for the device of a message.
func (a *Access) misfit(m *Message) (accessMiss, error) {
	command := m.Method == MethodCommand
	if command != (len(a.Services) > 0) || command && matching(a.Services, m.Service) == "" {
		return otherSender, nil
	}
	if len(a.Devices) > 0 && matching(a.Devices, m.Device.ID) == "" {
		return otherDevice, nil
	}
	for _, want := range a.Properties {
		if have := m.Device.property(want.Name); have == "" || (!want.Any && have != want.Value) {
			return otherProperty, nil
		}
	}
	if a.when == nil {
		return allows, nil
	}
	switch ok, err := a.when.holds(m, nil, &payloadCache{}); {
	case err != nil:
		return failedWhen, err
	case !ok:
		return falseWhen, nil
	}
	return allows, nil
}

func (a *Access) explain(miss accessMiss, err error) string {
	why := ""
	switch miss {
	case otherSender:
		why = "is for other senders"
	case otherDevice:
		why = "is for other devices"
	case otherProperty:
		why = "is for devices of other properties"
	case falseWhen:
		why = "when is false: " + a.When
	case failedWhen:
		why = "when could not be evaluated: " + err.Error()
	case otherRequest:
		why = "is for this device, but does not allow this method and path"
	}
	return why + " (" + a.Place + ")"
}

func (a *Allow) holds(m *Message) bool {
	if len(a.Methods) > 0 && !slices.Contains(a.Methods, m.Method) {
		return false
	}
	return a.Path == "" || a.pattern.matches(m.Path, &m.Device)
}

// ControlsAccess says that the policy has access blocks.
func (p *Policy) ControlsAccess() bool { return len(p.access) > 0 }

// AllowsUnknown says whether clients whose device is not known may use a route:
// those that say anonymous, and all where the policy has no access blocks.
func (p *Policy) AllowsUnknown(r *Route) bool { return r.Anonymous || !p.ControlsAccess() }

// Denied says that the device is on the policy's deny list: nothing is accepted
// from it, and its connections are to be closed.
func (p *Policy) Denied(d Device) bool { return p.deniedBy(d.ID) != "" }

func (p *Policy) deniedBy(id string) (pattern string) {
	if id == "" {
		return ""
	}
	if p.denied[id] {
		return id
	}
	return matching(p.deniedLike, id)
}

// matching returns the first of the patterns that an id matches.
func matching(patterns []string, id string) string {
	for _, pattern := range patterns {
		if matchesGlob(pattern, id) {
			return pattern
		}
	}
	return ""
}

// matchesGlob matches a whole string; "*" stands for any run of characters. Each
// part between two of them is taken where it comes first, so the time it takes is
// at most the product of both lengths.
func matchesGlob(pattern, s string) bool {
	first, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return s == pattern
	}
	if !strings.HasPrefix(s, first) {
		return false
	}
	s = s[len(first):]
	for {
		part, more, wild := strings.Cut(rest, "*")
		if !wild {
			return len(s) >= len(part) && strings.HasSuffix(s, part)
		}
		at := strings.Index(s, part)
		if at < 0 {
			return false
		}
		s, rest = s[at+len(part):], more
	}
}
