package schedule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// kind is what the generator knows of a fault.
type kind struct {
	fault             string
	needs             needs
	weight            int           // how often it is picked, beside others
	shortest, longest time.Duration // of the fault
	tail              time.Duration // after its end, until the mesh is as before
}

// kinds of faults. The loss of a region is what the mesh is for: it comes most.
var kinds = []kind{
	{Isolate, aRegion, 6, 5 * time.Second, 15 * time.Second, 12 * time.Second},
	{KillRegion, aRegion, 4, 5 * time.Second, 12 * time.Second, 20 * time.Second},
	{Cut, aPair, 4, 5 * time.Second, 15 * time.Second, 12 * time.Second},
	{OneWay, aPair, 4, 5 * time.Second, 15 * time.Second, 12 * time.Second},
	{Degrade, aPairAndHow, 5, 8 * time.Second, 20 * time.Second, 5 * time.Second},
	{KillAgent, anAgent, 4, 2 * time.Second, 10 * time.Second, 8 * time.Second},
	{RestartAgent, anAgent, 3, time.Second, 3 * time.Second, 8 * time.Second},
	{PauseAgent, anAgent, 4, time.Second, 8 * time.Second, 5 * time.Second},
	{DrainAgent, anAgent, 3, 4 * time.Second, 10 * time.Second, 3 * time.Second},
	{KillLead, aRegion, 4, 2 * time.Second, 10 * time.Second, 8 * time.Second},
	{PauseLead, aRegion, 4, time.Second, 8 * time.Second, 5 * time.Second},
	{KillConsul, aRegionOrAll, 4, 5 * time.Second, 15 * time.Second, 10 * time.Second},
	{PauseConsul, aRegion, 3, 5 * time.Second, 15 * time.Second, 10 * time.Second},
	{KillServices, aRegion, 3, 4 * time.Second, 10 * time.Second, 8 * time.Second},
	{SlowServices, aRegion, 3, 5 * time.Second, 12 * time.Second, 5 * time.Second},
	{BadPolicy, aRegion, 2, 3 * time.Second, 8 * time.Second, 3 * time.Second},
	{NewPolicy, nothing, 2, 3 * time.Second, 8 * time.Second, 3 * time.Second},
}

func kindOf(fault string) *kind {
	for i := range kinds {
		if kinds[i].fault == fault {
			return &kinds[i]
		}
	}
	return nil
}

func faults() (names []string) {
	for i := range kinds {
		names = append(names, kinds[i].fault)
	}
	return names
}

// needs is what a fault is on.
type needs int

const (
	nothing needs = iota
	aRegion
	aRegionOrAll
	aPair
	aPairAndHow
	anAgent
)

func (n needs) count() int {
	switch n {
	case nothing:
		return 0
	case aPair, aPairAndHow:
		return 2
	}
	return 1
}

func (n needs) check(m *Mesh, e *Event) error {
	if len(e.On) < n.count() {
		return fmt.Errorf("%s needs %d names", e.Fault, n.count())
	}
	if (len(e.How) > 0) != (n == aPairAndHow) {
		return fmt.Errorf("%s: words behind the names: %q", e.Fault, e.How)
	}
	for _, name := range e.On {
		known := slices.Contains(m.Regions, name) || n == aRegionOrAll && name == All
		if n == anAgent {
			known = m.RegionOf(name) != ""
		}
		if !known {
			return fmt.Errorf("there is no %q", name)
		}
	}
	if n.count() == 2 && e.On[0] == e.On[1] {
		return fmt.Errorf("%q twice", e.On[0])
	}
	return nil
}

// pick draws what a fault is on.
func (n needs) pick(m *Mesh, rng *rand.Rand) (on, how []string) {
	region := m.Regions[rng.IntN(len(m.Regions))]
	switch n {
	case nothing:
		return nil, nil
	case aRegionOrAll:
		if rng.IntN(3) == 0 {
			region = All
		}
	case anAgent:
		agents := m.agents(region)
		return []string{agents[rng.IntN(len(agents))]}, nil
	case aPair, aPairAndHow:
		order := rng.Perm(len(m.Regions))
		on = []string{m.Regions[order[0]], m.Regions[order[1]]}
		if n == aPairAndHow {
			how = degradations[rng.IntN(len(degradations))](rng)
		}
		return on, how
	}
	return []string{region}, nil
}

// degradations of the way between two regions: bad, but a way.
var degradations = []func(*rand.Rand) []string{
	func(rng *rand.Rand) []string { return []string{fmt.Sprintf("loss=%d%%", 2+rng.IntN(19))} },
	func(rng *rand.Rand) []string {
		return []string{fmt.Sprintf("loss=%d%%", 2+rng.IntN(9)), fmt.Sprintf("burst=%d", 2+rng.IntN(7))}
	},
	func(rng *rand.Rand) []string {
		delay := 60 + rng.IntN(90)
		return []string{fmt.Sprintf("delay=%dms", delay), fmt.Sprintf("jitter=%dms", delay/2)}
	},
	func(rng *rand.Rand) []string { return []string{fmt.Sprintf("rate=%dmbit", 3+rng.IntN(6))} },
	func(rng *rand.Rand) []string {
		return []string{fmt.Sprintf("reorder=%d%%", 1+rng.IntN(10)), fmt.Sprintf("duplicate=%d%%", 1+rng.IntN(10))}
	},
}
