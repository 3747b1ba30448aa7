package policy

import (
	"cmp"
	"slices"
	"time"
)

// Rings of distance: each reaches twice as far as the one before, so that
// regions about as far away share, and the nearest alone is not overrun.
const (
	firstRing    = 5 * time.Millisecond
	maxRing      = 14
	unmeasured   = maxRing + 1
	beyondGroup  = 100 // added to the ring of a region of another group
	ringTenacity = 10  // percent beyond its border before a region changes its ring
)

// hop is a region that another may spill to.
type hop struct{ to, key int }

func ringOf(rtt time.Duration) uint8 {
	if rtt <= 0 {
		return unmeasured
	}
	ring := uint8(0)
	for reach := firstRing; rtt >= reach && ring < maxRing; reach *= 2 {
		ring++
	}
	return ring
}

// nextRing is the ring of a region that was in ring was: noise does not move it.
func nextRing(was uint8, rtt time.Duration) uint8 {
	ring := ringOf(rtt)
	if was == unmeasured || ring == unmeasured || ring == was {
		return ring
	}
	off := rtt * ringTenacity / 100
	if ring > was {
		return max(was, ringOf(rtt-off))
	}
	return min(was, ringOf(rtt+off))
}

// measure puts every region into the rings of every other and says whether one
// moved.
func (s *Spill) measure(v *View) bool {
	moved := false
	for from := range s.regions {
		r := &s.regions[from]
		if from > 0 && !r.news && r.rings[from] != 0 {
			continue
		}
		for to := range s.regions {
			if to == from {
				continue
			}
			was := r.rings[to]
			ring := nextRing(cmp.Or(was, unmeasured+1)-1, s.distance(v, from, to)) + 1 // 0: not looked at yet
			moved = moved || ring != was
			r.rings[to] = ring
		}
		r.rings[from] = 1
	}
	return moved
}

// distance is the source's own measurement, or else the other's of it.
func (s *Spill) distance(v *View, from, to int) time.Duration {
	if rtt := s.oneWay(v, from, to); rtt > 0 {
		return rtt
	}
	return s.oneWay(v, to, from)
}

func (s *Spill) oneWay(v *View, from, to int) time.Duration {
	if from == 0 {
		return s.regions[to].rtt
	}
	return v.Regions[s.names[from]].RTTs[s.names[to]]
}

// order lists for every region those that it may spill the service to, nearest
// first. The answer is kept until a ring or a group changes.
func (s *Spill) order(service *Service) [][]hop {
	if known := s.orders[service]; known != nil {
		return known
	}
	all := make([][]hop, len(s.names))
	for from := range all {
		switch service.Failover.Mode {
		case FailoverNone:
		case FailoverList:
			all[from] = s.listed(from, service.Failover.Regions)
		default:
			all[from] = s.nearest(from, service.Failover.BeyondGroup)
		}
	}
	s.orders[service] = all
	return all
}

func (s *Spill) listed(from int, names []string) []hop {
	var hops []hop
	for n, name := range names {
		if to, ok := s.slots[name]; ok && to != from {
			hops = append(hops, hop{to, n})
		}
	}
	return hops
}

func (s *Spill) nearest(from int, beyond bool) []hop {
	var hops []hop
	for to := range s.regions {
		same := s.regions[to].group == s.regions[from].group
		switch {
		case to == from:
		case same:
			hops = append(hops, hop{to, int(s.regions[from].rings[to])})
		case beyond:
			hops = append(hops, hop{to, beyondGroup + int(s.regions[from].rings[to])})
		}
	}
	slices.SortFunc(hops, func(a, b hop) int { return cmp.Or(a.key-b.key, a.to-b.to) })
	return hops
}
