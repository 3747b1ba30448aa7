package policy

import "time"

// viewOf is what an agent knows at this moment.
func (s *simSpill) viewOf(a *simAgent) *View {
	r := a.region
	v := &View{
		Agent: "a", Region: r.name, Group: r.group, Built: s.now, Policy: s.policy, Draining: r.draining,
		Local: map[string]*Pool{}, Regions: map[string]*Region{}, Overrides: s.overrides,
		Home: map[string]Load{"svc": a.home.load}, HomeReported: a.home.arrives,
	}
	if !r.unready {
		v.Local["svc"] = simPool
	}
	for name, rep := range a.heard {
		other := s.region(name)
		region := &Region{
			Name: name, Group: other.group, State: RegionAlive, RTT: s.rtt(r, other), RTTs: rep.rtts,
			Reported: rep.arrives, Ready: map[string]Load{"svc": rep.load}, Agents: []Agent{{Name: "x"}},
		}
		if rep.drain {
			region.State = RegionDraining
		}
		if a.down[name] {
			region.State = RegionDown
		}
		v.Regions[name] = region
	}
	return v
}

var simPool = NewPool(Target{Service: "svc"}, []*Instance{{InstanceSpec: InstanceSpec{ID: "i"}}})

// kill ends a region; others know after a second.
func (s *simSpill) kill(name string) {
	r := s.region(name)
	r.up = false
	s.run(time.Second)
	s.mark(name, true)
}

func (s *simSpill) mark(name string, down bool) {
	for _, r := range s.regions {
		for _, a := range r.agents {
			a.down[name] = down
		}
	}
}

// revive begins a region anew, with agents that remember nothing.
func (s *simSpill) revive(name string) {
	r := s.region(name)
	r.up = true
	for n := range r.agents {
		r.agents[n] = s.agent(r)
	}
	s.run(3 * time.Second)
	s.mark(name, false)
}
