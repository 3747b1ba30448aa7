// Package fault injects network conditions into one process: it drops, delays
// and partitions what agents send, by decorating the connections they use.
//
// One [Switch] holds the rules; decorators around a UDP socket for QUIC
// ([PacketConn]), a memberlist transport ([Memberlist]) and TCP ([Listener],
// [Dialer]) obey it. Nothing of this is in the path of an agent that was not
// given a Switch.
//
// Several agents of one process may share a Switch. A packet then passes two
// decorators, its sender's and its receiver's: total loss holds at both, while
// partial loss and delay are charged once, at the sender.
package fault

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const mostRules = 256

// Switch is a set of rules. All methods are safe for concurrent use, and a
// change holds for the next packet.
type Switch struct {
	region func(netip.AddrPort) string
	now    atomic.Pointer[ruleset]

	mu    sync.Mutex // guards changes of now
	known parties
}

type ruleset struct {
	rules   []Rule
	changed chan struct{} // closed when a newer set is in force
}

// NewSwitch returns a Switch without rules. The region function tells the
// region of an address ("" when it knows none); it is called on the packet path
// and must be safe for concurrent use. It may be nil when rules name addresses.
func NewSwitch(region func(netip.AddrPort) string) *Switch {
	s := &Switch{region: region}
	s.now.Store(&ruleset{changed: make(chan struct{})})
	return s
}

// Add puts a rule in force, in place of one with the same ID. It fails with
// kind [ErrInvalid], changing nothing, when the rule makes no sense or 256 are
// in force already.
func (s *Switch) Add(r Rule) error {
	if err := r.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rules := s.keep(func(old *Rule) bool { return old.ID != r.ID })
	if len(rules) >= mostRules {
		return fmt.Errorf("%w %q: %d rules are in force already: remove some", ErrInvalid, r.ID, mostRules)
	}
	s.swap(append(rules, r.clone()))
	return nil
}

// Remove ends a rule and says whether there was one.
func (s *Switch) Remove(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.Rules()
	s.swap(s.keep(func(old *Rule) bool { return old.ID != id }))
	return slices.ContainsFunc(before, func(r Rule) bool { return r.ID == id })
}

// Clear ends every rule.
func (s *Switch) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.swap(nil)
}

// Rules returns the rules in force, oldest first.
func (s *Switch) Rules() []Rule {
	now := time.Now()
	var live []Rule
	for _, r := range s.now.Load().rules {
		if r.liveAt(now) {
			live = append(live, r.clone())
		}
	}
	return live
}

func (r *Rule) liveAt(now time.Time) bool { return r.Expires.IsZero() || now.Before(r.Expires) }

func (s *Switch) keep(which func(*Rule) bool) []Rule {
	now := time.Now()
	var kept []Rule
	for _, r := range s.now.Load().rules {
		if r.liveAt(now) && which(&r) {
			kept = append(kept, r)
		}
	}
	return kept
}

func (s *Switch) swap(rules []Rule) {
	old := s.now.Swap(&ruleset{rules: rules, changed: make(chan struct{})})
	close(old.changed)
}

// side is where a packet is judged.
type side uint8

const (
	sending side = iota
	receiving
)

// fate is what the rules in force do to the traffic of one pair.
type fate struct {
	drop   float64
	delay  time.Duration
	until  time.Time // when the first rule that matched ends; zero: no rule ends by itself
	change <-chan struct{}
}

func (f *fate) cut() bool  { return f.drop >= 1 }
func (f *fate) lost() bool { return f.cut() || f.drop > 0 && rand.Float64() < f.drop }

// judge returns what happens to a packet from src to dst at one of its ends.
func (s *Switch) judge(src, dst netip.AddrPort, at side) fate {
	set := s.now.Load()
	f := fate{change: set.changed}
	if len(set.rules) == 0 {
		return f
	}
	from, to := s.endpoint(src), s.endpoint(dst)
	charged := at == receiving && s.known.decorated(from.addr)
	now := time.Now()
	for i := range set.rules {
		r := &set.rules[i]
		if !r.liveAt(now) || !r.matches(&from, &to) {
			continue
		}
		f.endsBy(r.Expires)
		if r.Drop >= 1 || !charged {
			f.drop = 1 - (1-f.drop)*(1-r.Drop)
		}
		if !charged {
			f.delay += r.pause()
		}
	}
	return f
}

func (f *fate) endsBy(t time.Time) {
	if !t.IsZero() && (f.until.IsZero() || t.Before(f.until)) {
		f.until = t
	}
}
