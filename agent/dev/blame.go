package dev

import "github.com/tidegate/tidegate/agent"

// blame tells, from the counters of the mesh's agents, for which region's spill
// they refused what. For one goroutine.
type blame struct {
	mesh   *Mesh
	before map[counted]float64
}

// counted is a counter of one agent.
type counted struct {
	agent string
	agent.Shed
}

func newBlame(m *Mesh) *blame { return &blame{mesh: m, before: map[counted]float64{}} }

// causes looks at what was counted since the last call.
func (b *blame) causes() map[string]map[refusal]string {
	b.mesh.running.Lock()
	defer b.mesh.running.Unlock()
	causes := map[string]map[refusal]string{}
	for _, r := range b.mesh.Regions {
		causes[r.Name] = map[refusal]string{}
		for _, a := range r.Agents {
			if a.Agent == nil {
				continue
			}
			for _, s := range a.Sheds() {
				count := s.Count
				s.Count = 0
				key := counted{a.Name, s}
				if count > b.before[key] && s.Cause != "" {
					causes[r.Name][refusal{s.Class, s.Reason}] = s.Cause
				}
				b.before[key] = count
			}
		}
	}
	return causes
}
