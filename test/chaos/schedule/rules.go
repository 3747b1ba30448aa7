package schedule

import (
	"fmt"
	"slices"
	"time"
)

// What every schedule keeps, so that the standing promises may be asked for.
const (
	// MostAtOnce bounds the faults of one episode.
	MostAtOnce = 3
	// LongestEpisode is from the first fault's beginning to the last one's end.
	LongestEpisode = 30 * time.Second
	// Quiet is the least time between episodes: the mesh comes to rest, and what is
	// judged begins from there.
	Quiet = 20 * time.Second
	// First is when the first episode begins.
	First = 10 * time.Second
)

// Check says which rule some events, in the order of their times, do not keep:
// of kind ErrInvalid.
func (m *Mesh) Check(events []Event) error {
	for _, episode := range Episodes(events) {
		if len(episode) > MostAtOnce {
			return fmt.Errorf("%w: %d faults in one episode at %s: %d at most", ErrInvalid, len(episode), episode[0].At, MostAtOnce)
		}
		if took := end(episode) - episode[0].At; took > LongestEpisode {
			return fmt.Errorf("%w: the episode at %s takes %s: %s at most", ErrInvalid, episode[0].At, took, LongestEpisode)
		}
		for i := range episode {
			if err := m.checkAt(episode, episode[i].At); err != nil {
				return fmt.Errorf("%w: at %s: %w", ErrInvalid, episode[i].At, err)
			}
		}
	}
	return nil
}

// checkAt is the rules that hold at each moment. What holds when a fault begins
// holds until the next one does.
func (m *Mesh) checkAt(events []Event, at time.Duration) error {
	active := activeAt(events, at)
	if err := m.apart(active); err != nil {
		return err
	}
	for _, region := range m.Regions {
		if err := m.livesOn(region, active); err != nil {
			return err
		}
	}
	return nil
}

// activeAt are the faults that last at a moment, or were over too shortly before
// for the mesh to be whole again.
func activeAt(events []Event, at time.Duration) []Event {
	return slices.DeleteFunc(slices.Clone(events), func(e Event) bool {
		return e.At > at || e.End()+kindOf(e.Fault).tail <= at
	})
}

// apart: no two faults are on the same thing. So one region is lost at most: each
// loss is on the ways to all others.
func (m *Mesh) apart(active []Event) error {
	by := map[string]string{}
	for _, e := range active {
		for _, thing := range e.touches(m) {
			if other, taken := by[thing]; taken {
				return fmt.Errorf("%s and %s are both on %s", other, e.What(), thing)
			}
			by[thing] = e.What()
		}
	}
	return nil
}

// livesOn: a region that is not lost has an agent that nothing harms, and a way
// that nothing is wrong with to each service.
func (m *Mesh) livesOn(region string, active []Event) error {
	harmed := 0
	for _, e := range active {
		if e.Loses() == region {
			return nil
		}
		if e.Harms(m) == region {
			harmed++
		}
	}
	if harmed >= m.Agents {
		return fmt.Errorf("%d of %d agents of %s are harmed", harmed, m.Agents, region)
	}
	for _, service := range m.services() {
		if !slices.ContainsFunc(m.Homes[service], func(home string) bool { return serves(home, region, active) }) {
			return fmt.Errorf("nothing serves %s to %s", service, region)
		}
	}
	return nil
}

func serves(home, region string, active []Event) bool {
	return !slices.ContainsFunc(active, func(e Event) bool {
		return e.stops() == home || e.Severs(home, region) || e.Between(home, region)
	})
}
