package policy

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawMesh draws regions of one group whose demand together is a part of what
// they can serve together, unevenly spread.
func drawMesh(t *rapid.T, tb testing.TB, part float64) *simSpill {
	var regions []*simRegion
	capacity, demand := 0.0, 0.0
	for i := range rapid.IntRange(3, 6).Draw(t, "regions") {
		r := region(fmt.Sprint("r", i), "g", rapid.Float64Range(0, 300).Draw(t, "place"),
			rapid.Float64Range(100, 5000).Draw(t, "capacity"), rapid.Float64Range(1, 1000).Draw(t, "demand"))
		regions, capacity, demand = append(regions, r), capacity+r.capacity, demand+r.demand
	}
	for _, r := range regions {
		r.demand *= part * capacity / demand
	}
	s := newSimSpill(tb, rapid.Uint64().Draw(t, "seed"), simOne, 2, regions...)
	s.delay = time.Duration(rapid.IntRange(1, 60).Draw(t, "delay")) * simStep
	return s
}

func (s *simSpill) totals() (capacity, demand float64) {
	for _, r := range s.regions {
		if r.up {
			demand += r.demand
			if !r.unready {
				capacity += r.capacity
			}
		}
	}
	return capacity, demand
}

// checkNoHerd: nobody is filled beyond level of its capacity by others as long
// as all demand fits below it.
func (s *simSpill) checkNoHerd(t *rapid.T, level float64) {
	for _, r := range s.regions {
		if own := r.demand * s.share(r.name, r.name); r.up && !r.unready && r.load > own+1 && r.load > 1.03*level*r.capacity {
			t.Fatalf("%s is overrun: %v", r.name, s)
		}
	}
}

func TestSimSpillNeverHerdsAndComesToRest(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := drawMesh(rt, t, rapid.Float64Range(0.2, 1.6).Draw(rt, "part"))
		s.run(90 * time.Second)
		for range rapid.IntRange(0, 2).Draw(rt, "faults") {
			s.drawFault(rt)
			s.run(time.Duration(rapid.IntRange(1, 40).Draw(rt, "seconds")) * time.Second)
		}
		s.run(100 * time.Second)
		capacity, demand := s.totals()
		switch {
		case demand < 0.68*capacity:
			s.checkNoHerd(rt, 0.82)
		case demand < 0.97*capacity:
			s.checkNoHerd(rt, 1)
		}
		s.checkRest(rt)
		s.checkAgreement(rt)
	})
}

// checkAgreement: what a region expects of another is what that one sends.
func (s *simSpill) checkAgreement(t *rapid.T) {
	for _, to := range s.regions {
		for _, from := range s.regions {
			if !to.up || !from.up || to == from {
				continue
			}
			sent := from.demand * s.share(from.name, to.name)
			if got := expectedFrom(to, from.name); got > sent+0.02*to.capacity || got < sent-0.02*to.capacity {
				t.Fatalf("%s expects %.1f of %s, which sends %.1f: %v", to.name, got, from.name, sent, s)
			}
		}
	}
}

func (s *simSpill) drawFault(t *rapid.T) {
	r := rapid.SampledFrom(s.regions).Draw(t, "region")
	switch rapid.IntRange(0, 3).Draw(t, "fault") {
	case 0:
		r.unready = !r.unready
	case 1:
		r.capacity *= rapid.Float64Range(0.3, 1.2).Draw(t, "capacity")
	case 2:
		r.demand *= rapid.Float64Range(0.2, 3).Draw(t, "demand")
	default:
		if r.up {
			s.kill(r.name)
		} else {
			s.revive(r.name)
		}
	}
}

func (s *simSpill) checkRest(t *rapid.T) {
	before := map[string]float64{}
	for _, r := range s.regions {
		before[r.name] = r.load
	}
	s.run(20 * time.Second)
	for _, r := range s.regions {
		if off := r.load - before[r.name]; off > 0.01*r.capacity || -off > 0.01*r.capacity {
			t.Fatalf("%s still moves from %.1f: %v", r.name, before[r.name], s)
		}
	}
}

// The demand of a region that has just lost its instances does not all go to its
// neighbour, however old the reports are.
func TestSimSpillDoesNotOverrunTheNeighbours(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := drawMesh(rt, t, rapid.Float64Range(0.1, 0.75).Draw(rt, "part"))
		for _, r := range s.regions {
			r.demand = min(r.demand, 0.8*r.capacity)
		}
		s.run(60 * time.Second)
		s.regions[0].unready = true
		if capacity, demand := s.totals(); demand > 0.78*capacity {
			rt.Skip("no room for it")
		}
		for range 20 {
			s.run(simTick)
			s.checkNoHerd(rt, 0.83)
		}
	})
}
