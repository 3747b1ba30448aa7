package fault

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// ErrInvalid is the kind of every error about a rule that cannot be used.
var ErrInvalid = errors.New("invalid fault rule")

// Direction says which way between a rule's two parties traffic suffers.
type Direction uint8

// The directions. The zero value is Both.
const (
	Both Direction = iota
	Out            // from From to To
	In             // from To to From
)

// String returns the direction as a person writes it.
func (d Direction) String() string {
	switch d {
	case Both:
		return "both"
	case Out:
		return "out"
	case In:
		return "in"
	}
	return fmt.Sprintf("direction(%d)", uint8(d))
}

// Party is one side of a rule: addresses, regions, or both (either suffices).
// The zero value is everybody.
type Party struct {
	// Addrs lists addresses. Port 0 stands for every port; an address that is
	// invalid or unspecified (0.0.0.0, ::) stands for every address.
	Addrs []netip.AddrPort
	// Regions lists names as the Switch's region function gives them.
	Regions []string
	// Except turns the meaning round: everybody who is not listed.
	Except bool
}

// Rule is one injected condition. Of several rules that match a packet the
// delays add up and each drop share takes its part of what the others leave.
type Rule struct {
	ID        string        // unique in a Switch; adding an ID again replaces the rule
	From, To  Party         // the two sides
	Direction Direction     // which way between them
	Drop      float64       // share of packets lost, 0..1; 1 cuts streams as well
	Delay     time.Duration // added to every packet, 0..1m; order is kept while it is constant
	Jitter    time.Duration // up to so much more, evenly spread, 0..1m; packets may overtake
	Expires   time.Time     // the rule ends by itself then; zero: never
}

// Cut returns a rule that isolates the given addresses: everything between
// them and everybody else is lost, while they still reach one another. Set ID
// and Expires before adding it.
func Cut(addrs ...netip.AddrPort) Rule {
	group := Party{Addrs: addrs}
	return Rule{ID: "cut", From: group, To: group.others(), Drop: 1}
}

// CutRegions is Cut by the names of regions.
func CutRegions(regions ...string) Rule {
	group := Party{Regions: regions}
	return Rule{ID: "cut", From: group, To: group.others(), Drop: 1}
}

func (p Party) others() Party {
	p.Except = !p.Except
	return p
}

const longestDelay = time.Minute

func (r *Rule) check() error {
	switch {
	case r.ID == "":
		return fmt.Errorf("%w: no ID: give the rule a name", ErrInvalid)
	case r.Direction > In:
		return fmt.Errorf("%w %q: unknown %v: use Both, Out or In", ErrInvalid, r.ID, r.Direction)
	case !(r.Drop >= 0 && r.Drop <= 1):
		return fmt.Errorf("%w %q: drop %v is outside 0..1", ErrInvalid, r.ID, r.Drop)
	case r.Delay < 0 || r.Delay > longestDelay:
		return fmt.Errorf("%w %q: delay %v is outside 0..%v", ErrInvalid, r.ID, r.Delay, longestDelay)
	case r.Jitter < 0 || r.Jitter > longestDelay:
		return fmt.Errorf("%w %q: jitter %v is outside 0..%v", ErrInvalid, r.ID, r.Jitter, longestDelay)
	}
	return nil
}

func (r Rule) clone() Rule {
	r.From, r.To = r.From.clone(), r.To.clone()
	return r
}

func (p Party) clone() Party {
	p.Addrs, p.Regions = slices.Clone(p.Addrs), slices.Clone(p.Regions)
	return p
}

func (p *Party) includes(e *endpoint) bool {
	if len(p.Addrs) == 0 && len(p.Regions) == 0 {
		return !p.Except
	}
	return p.lists(e) != p.Except
}

func (p *Party) lists(e *endpoint) bool {
	for _, listed := range p.Addrs {
		if covers(listed, e.addr) {
			return true
		}
	}
	return len(p.Regions) > 0 && slices.Contains(p.Regions, e.regionName())
}

func covers(listed, addr netip.AddrPort) bool {
	if listed.Port() != 0 && listed.Port() != addr.Port() {
		return false
	}
	ip := listed.Addr()
	return !ip.IsValid() || ip.IsUnspecified() || ip.Unmap() == addr.Addr() ||
		addr.Addr().IsUnspecified() // an agent that listens on every address
}

func (r *Rule) matches(src, dst *endpoint) bool {
	if r.Direction != In && r.From.includes(src) && r.To.includes(dst) {
		return true
	}
	return r.Direction != Out && r.From.includes(dst) && r.To.includes(src)
}

func (r *Rule) pause() time.Duration {
	if r.Jitter == 0 {
		return r.Delay
	}
	return r.Delay + rand.N(r.Jitter)
}
