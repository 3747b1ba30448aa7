package policy

import (
	"slices"
	"time"
)

// spillRegion is what the spill of every service has to know of a region.
type spillRegion struct {
	name   string
	group  string
	status regionStatus

	reported time.Time     // arrival of the newest report
	news     bool          // it is one that the Update before did not see
	interval time.Duration // between reports, smoothed
	rtt      time.Duration // from here
	rings    []uint8       // to every slot
	diedAt   time.Time     // zero: it lives, or was dead when first seen
}

// regionStatus is what decides on the part a region plays.
type regionStatus struct {
	dead    bool
	expired bool // alive, but its report is too old to count
	home    bool // may serve its own demand
	dest    bool // may be given spill
	order   OverrideKind
}

const firstInterval = 500 * time.Millisecond // until two reports have come

// followRegions gives every region of the view a slot and says whether that
// moved any.
func (s *Spill) followRegions(v *View) bool {
	if s.knows(v) {
		return false
	}
	names := make([]string, 0, len(v.Regions)+1)
	for name := range v.Regions {
		if name != v.Region {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names = slices.Insert(names, 0, v.Region)
	from, slots := make([]int, len(names)), make(map[string]int, len(names))
	regions := make([]spillRegion, len(names))
	for n, name := range names {
		slots[name], from[n] = n, -1
		regions[n] = spillRegion{name: name, interval: firstInterval}
		if was, ok := s.slots[name]; ok {
			from[n], regions[n] = was, s.regions[was]
		}
		regions[n].rings = make([]uint8, len(names))
	}
	for _, svc := range s.services {
		svc.move(from)
	}
	s.names, s.slots, s.regions = names, slots, regions
	s.fill.resize(len(names))
	return true
}

func (s *Spill) knows(v *View) bool {
	if len(s.names) == 0 || s.names[0] != v.Region || len(s.names) != len(v.Regions)+1 {
		return false
	}
	for _, name := range s.names[1:] {
		if v.Regions[name] == nil {
			return false
		}
	}
	return true
}

// observe reads the state of all regions and says whether anything changed that
// concerns every service.
func (s *Spill) observe(v *View, now time.Time) bool {
	changed := s.regions[0].observeHome(v, now)
	heard, lost := 0, 0
	for n := 1; n < len(s.regions); n++ {
		r := &s.regions[n]
		changed = r.observe(v.Regions[r.name], v.override(r.name), now) || changed
		switch {
		case !r.status.dead && !r.reported.IsZero():
			heard++
		case !r.diedAt.IsZero() && now.Sub(r.diedAt) < s.cfg.Decay:
			lost++
		}
	}
	cut := lost >= 2 && heard == 0
	if s.measure(v) {
		clear(s.orders)
		changed = true
	}
	changed = changed || cut != s.cut
	s.cut = cut
	return changed
}

func (r *spillRegion) observeHome(v *View, now time.Time) bool {
	r.arrived(v.HomeReported)
	status := regionStatus{order: v.override(v.Region)}
	status.expired = !r.reported.IsZero() && now.Sub(r.reported) > ReportExpiry
	status.home = !v.Draining && status.order != Evacuate
	status.dest = status.home
	changed := status != r.status || r.group != v.Group
	r.status, r.group = status, v.Group
	return changed
}

func (r *spillRegion) observe(seen *Region, order OverrideKind, now time.Time) bool {
	r.arrived(seen.Reported)
	status := regionStatus{order: order, dead: seen.State == RegionDown}
	known := !r.reported.IsZero()
	status.expired = known && !status.dead && now.Sub(r.reported) > ReportExpiry
	status.home = known && !status.dead && !status.expired && !seen.draining() && order != Evacuate
	status.dest = status.home && seen.State == RegionAlive
	switch {
	case !status.dead:
		r.diedAt = time.Time{}
	case !r.status.dead && known && !r.status.expired:
		r.diedAt = now
	}
	changed := status != r.status || r.group != seen.Group
	r.status, r.group, r.rtt = status, seen.Group, seen.RTT
	return changed
}

// arrived learns from the arrival of a report how often they come.
func (r *spillRegion) arrived(at time.Time) {
	r.news = !at.IsZero() && !at.Equal(r.reported)
	if !r.news {
		return
	}
	if gap := at.Sub(r.reported); !r.reported.IsZero() && gap > 0 {
		gap = min(max(gap, 20*time.Millisecond), ReportExpiry)
		r.interval += (gap - r.interval) / 4
	}
	r.reported = at
}

// frozen: its shares are not to move, by order or because nothing is known any
// more of its own demand.
func (r *spillRegion) frozen() bool { return r.status.order == Freeze || r.status.expired }
