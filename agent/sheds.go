package agent

// shedName is the counter of refusals for capacity.
const shedName = "tidegate_shed_total"

// Shed is how many requests this agent has refused for one reason.
type Shed struct {
	Service, Class, Reason string
	Cause                  string // region whose spill is to blame; empty: local demand
	Count                  float64
}

// Sheds says what this agent has refused for capacity since it started.
func (a *Agent) Sheds() []Shed {
	families, err := a.reg.Gather()
	if err != nil {
		a.log.Warn("metrics not all gathered", "error", err)
	}
	var all []Shed
	for _, f := range families {
		if f.GetName() != shedName {
			continue
		}
		for _, m := range f.GetMetric() {
			s := Shed{Count: m.GetCounter().GetValue()}
			for _, label := range m.GetLabel() {
				s.set(label.GetName(), label.GetValue())
			}
			all = append(all, s)
		}
	}
	return all
}

func (s *Shed) set(label, value string) {
	switch label {
	case "service":
		s.Service = value
	case "class":
		s.Class = value
	case "reason":
		s.Reason = value
	case "cause":
		s.Cause = value
	}
}
