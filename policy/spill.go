package policy

import (
	"maps"
	"time"
)

// Spill decides how much of each service's demand every region serves. Every
// agent runs the same water-filling over the demand and capacity that all
// regions report, so that they agree without asking one another:
//
//  1. a region keeps its own demand, unless that is more than it can serve well
//     (above SpillConfig.Start; see hold);
//  2. what it does not keep goes by rings of distance to regions with headroom
//     below SpillConfig.Target of their capacity, shared in proportion where
//     several want it (see pour);
//  3. where that is not enough, up to the whole capacity, at home first;
//  4. what is left stays at home to be shed there, or, where there is no home,
//     is spread in proportion to capacity.
//
// The own region's shares follow the outcome damped by the age of what it rests
// on (see damp). Spill keeps what this needs between views. Not safe for
// concurrent use.
type Spill struct {
	cfg      SpillConfig
	last     time.Time // of the Update before
	policy   *Policy
	names    []string       // of all regions: the own one first, then by name
	slots    map[string]int // place in names
	regions  []spillRegion  // by slot
	orders   map[*Service][][]hop
	services map[string]*spillService
	shares   map[string]*Shares // published: replaced, never changed
	fill     fill
	cut      bool // all others were lost together: it is this one that is cut off
}

// NewSpill returns a Spill that has seen no view yet.
func NewSpill(cfg SpillConfig) *Spill {
	return &Spill{cfg: cfg.withDefaults(), services: map[string]*spillService{}}
}

// Update sets v.Shares. The one goroutine that builds views calls it on each,
// before the view is used, at least every 250 ms. Between two reports it moves
// nothing but ramps, so that calls in between do no harm. now must not go back.
func (s *Spill) Update(v *View, now time.Time) {
	passed := max(0, now.Sub(s.last)) // long before the first, when nothing returns yet
	s.last = now
	all := s.follow(v)
	all = s.observe(v, now) || all
	changed := false
	for name, svc := range s.services {
		if svc.ingest(s, v, all) || all || svc.active {
			before := svc.shares
			svc.update(s, now, passed)
			changed = changed || svc.shares != before
		}
		_, published := s.shares[name]
		changed = changed || !published
	}
	if changed || len(s.shares) != len(s.services) {
		s.publish()
	}
	v.Shares = s.shares
}

func (s *Spill) publish() {
	s.shares = make(map[string]*Shares, len(s.services))
	for name, svc := range s.services {
		s.shares[name] = svc.shares
	}
}

// follow takes over the policy and the set of regions of the view and says
// whether one of them is another than before.
func (s *Spill) follow(v *View) bool {
	renamed := s.followRegions(v)
	if v.Policy == s.policy && !renamed {
		return false
	}
	s.policy, s.orders = v.Policy, map[*Service][][]hop{}
	wanted := map[string]*Service{}
	if v.Policy != nil {
		wanted = v.Policy.Services()
	}
	maps.DeleteFunc(s.services, func(name string, _ *spillService) bool { return wanted[name] == nil })
	for name, service := range wanted {
		svc := s.services[name]
		if svc == nil {
			svc = newSpillService(len(s.names))
			s.services[name] = svc
		}
		svc.name, svc.service = name, service
	}
	return true
}
