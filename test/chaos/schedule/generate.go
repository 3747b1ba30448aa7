package schedule

import (
	"math/rand/v2"
	"time"
)

// Schedule is what happens when.
type Schedule struct {
	Seed   uint64
	Lasts  time.Duration
	Events []Event // in the order of their times
}

// Generate makes a schedule from a seed: the same one every time. It keeps
// Mesh.Check.
func Generate(m *Mesh, seed uint64, lasts time.Duration) Schedule {
	g := generator{mesh: m, rng: rand.New(rand.NewPCG(seed, 0))}
	s := Schedule{Seed: seed, Lasts: lasts}
	for at := First; at+LongestEpisode+Quiet <= lasts; {
		episode := g.episode(at)
		s.Events = append(s.Events, episode...)
		at = end(episode) + Quiet
	}
	return s
}

type generator struct {
	mesh *Mesh
	rng  *rand.Rand
}

// attempts to find another fault that keeps the rules.
const attempts = 20

// episode is one fault, often more, that overlap or follow each other shortly.
func (g *generator) episode(at time.Duration) []Event {
	episode := []Event{g.event(at)}
	for range g.more() {
		for range attempts {
			begin := at + g.between(0, LongestEpisode/2)
			next := inOrder(append(episode[:len(episode):len(episode)], g.event(begin)))
			if len(Episodes(next)) == 1 && next[0].At == at && g.mesh.Check(next) == nil {
				episode = next
				break
			}
		}
	}
	return episode
}

// more faults than one.
func (g *generator) more() int {
	switch n := g.rng.IntN(100); {
	case n < 40:
		return 0
	case n < 75:
		return 1
	}
	return MostAtOnce - 1
}

func (g *generator) event(at time.Duration) Event {
	k := g.kind()
	on, how := k.needs.pick(g.mesh, g.rng)
	return Event{at, g.between(k.shortest, k.longest), k.fault, on, how}
}

func (g *generator) kind() *kind {
	total := 0
	for i := range kinds {
		total += kinds[i].weight
	}
	n := g.rng.IntN(total)
	for i := range kinds {
		if n -= kinds[i].weight; n < 0 {
			return &kinds[i]
		}
	}
	return &kinds[0]
}

// between two times, in tenths of a second.
func (g *generator) between(least, most time.Duration) time.Duration {
	const step = 100 * time.Millisecond
	return least + time.Duration(g.rng.Int64N(int64((most-least)/step)+1))*step
}
