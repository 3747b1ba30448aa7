package schedule

import "slices"

// Loses is the region that nobody reaches while the fault lasts, or none.
func (e *Event) Loses() string {
	if e.Fault == Isolate || e.Fault == KillRegion {
		return e.On[0]
	}
	return ""
}

// Severs says that between two regions something does not get through.
func (e *Event) Severs(a, b string) bool {
	switch e.Fault {
	case Cut, OneWay:
		return e.Between(a, b)
	}
	return a != b && e.Loses() != "" && (a == e.Loses() || b == e.Loses())
}

// Between says that the fault is on the way between two regions.
func (e *Event) Between(a, b string) bool {
	switch e.Fault {
	case Cut, OneWay, Degrade:
		return a != b && slices.Contains(e.On, a) && slices.Contains(e.On, b)
	}
	return false
}

// Harms is the region that lacks an agent meanwhile, or none. What an agent that
// drains has it serves.
func (e *Event) Harms(m *Mesh) string {
	switch e.Fault {
	case KillAgent, RestartAgent, PauseAgent, DrainAgent:
		return m.RegionOf(e.On[0])
	case KillLead, PauseLead:
		return e.On[0]
	}
	return ""
}

// Restarts says that agents begin anew, with nothing in memory.
func (e *Event) Restarts() bool {
	switch e.Fault {
	case KillRegion, KillAgent, RestartAgent, KillLead:
		return true
	}
	return false
}

// stops is the region without services.
func (e *Event) stops() string {
	if e.Fault == KillServices {
		return e.On[0]
	}
	return e.Loses()
}

// touches are the things that a fault takes for itself: two faults on the same
// thing cannot be told apart, nor ended apart.
func (e *Event) touches(m *Mesh) (things []string) {
	switch e.Fault {
	case Isolate, KillRegion:
		return m.all(e.On[0])
	case Cut, OneWay, Degrade:
		return []string{pair(e.On[0], e.On[1])}
	case KillAgent, RestartAgent, PauseAgent, DrainAgent:
		return e.On
	case KillLead, PauseLead: // whichever it is
		return m.agents(e.On[0])
	case KillConsul, PauseConsul:
		return consuls(m, e.On[0])
	case KillServices, SlowServices:
		return []string{"services of " + e.On[0]}
	case BadPolicy, NewPolicy: // are written into every store
		return consuls(m, All)
	}
	return nil
}

// all that is in a region or leads there.
func (m *Mesh) all(region string) []string {
	things := append(m.agents(region), "services of "+region)
	things = append(things, consuls(m, region)...)
	for _, other := range m.Regions {
		if other != region {
			things = append(things, pair(region, other))
		}
	}
	return things
}

func pair(a, b string) string { return min(a, b) + " " + max(a, b) }

func consuls(m *Mesh, region string) (things []string) {
	for _, r := range m.Regions {
		if region == All || region == r {
			things = append(things, "consul of "+r)
		}
	}
	return things
}
