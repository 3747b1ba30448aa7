package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/tidegate/tidegate/gossip"
)

// region is what the services of one region are asked for and can serve. Every
// agent sees its share of it through a counter with noise: what is asked of a
// service per second is a Poisson process, averaged over one second.
type region struct {
	name     string
	services []service
	rng      *rand.Rand
	agents   int
	history  []truth // newest last
}

type service struct {
	name      string
	ready     int
	rate      float64 // req/s, at the middle of the day
	phase     float64
	mix       [4]float64
	capacity  float64
	overload  bool
	seen      [][4]float64 // by agent: the averaged rates
	limits    []float64    // by agent: its estimate of the capacity, a share
	wait      time.Duration
	threshold uint16
}

// truth is what all agents of a region published at one time, summed.
type truth struct {
	at      time.Time
	targets map[string]gossip.TargetLoad
}

const (
	reportEvery = 250 * time.Millisecond
	historyKept = 60 // reports
	dayLength   = 2 * time.Minute
	stepEvery   = time.Minute // mean time between jumps of one service
)

func newRegion(name string, services, agents int, seed uint64) *region {
	r := &region{name: name, rng: rand.New(rand.NewPCG(seed, 1)), agents: agents}
	for i := range services {
		rate := 20 * math.Exp(1.2*r.rng.NormFloat64())
		s := service{
			name: fmt.Sprintf("telemetry-%03d", i), ready: 2 + r.rng.IntN(6), rate: rate, phase: r.rng.Float64() * 2 * math.Pi,
			mix: [4]float64{0.2, 0.4, 0.2, 0.2}, capacity: rate * (1.2 + r.rng.Float64()), overload: r.rng.IntN(20) == 0,
			seen: make([][4]float64, agents), limits: make([]float64, agents),
		}
		for a := range agents {
			for c := range s.seen[a] {
				s.seen[a][c] = rate * s.mix[c] / float64(agents)
			}
			s.limits[a] = s.capacity / float64(agents)
		}
		r.services = append(r.services, s)
	}
	return r
}

// advance moves everything by one report and returns each agent's load.
func (r *region) advance(now time.Time, elapsed time.Duration) []gossip.Load {
	loads := make([]gossip.Load, r.agents)
	for a := range loads {
		loads[a] = gossip.Load{PolicyVersion: "a1b2c3d4e5f6", Targets: make(map[string]gossip.TargetLoad, len(r.services))}
	}
	sum := make(map[string]gossip.TargetLoad, len(r.services))
	for i := range r.services {
		s := &r.services[i]
		s.move(r.rng, elapsed)
		total := gossip.TargetLoad{Ready: s.ready}
		for a := range loads {
			t := s.of(r.rng, a)
			loads[a].Targets[s.name] = t
			total.Capacity += t.Capacity
			for c, d := range t.Demand {
				total.Demand[c] += d
			}
		}
		sum[s.name] = total
	}
	r.history = append(r.history, truth{now, sum})
	if len(r.history) > historyKept {
		r.history = r.history[1:]
	}
	return loads
}

// move is one report's change: the time of day, now and then a jump, the
// noise of counting, and of estimating the capacity.
func (s *service) move(rng *rand.Rand, elapsed time.Duration) {
	if rng.Float64() < float64(reportEvery)/float64(stepEvery) {
		s.rate *= math.Exp(rng.Float64()*1.4 - 0.7)
	}
	if rng.Float64() < float64(reportEvery)/float64(2*stepEvery) {
		s.capacity *= math.Exp(rng.Float64()*0.8 - 0.4)
	}
	rate := s.rate * (1 + 0.3*math.Sin(s.phase+2*math.Pi*elapsed.Seconds()/dayLength.Seconds()))
	dt := reportEvery.Seconds()
	keep := math.Exp(-dt)
	for a := range s.seen {
		for c := range s.seen[a] {
			mean := rate * s.mix[c] / float64(len(s.seen)) * dt
			s.seen[a][c] = keep*s.seen[a][c] + (1-keep)*poisson(rng, mean)/dt
		}
		target := s.capacity / float64(len(s.limits))
		s.limits[a] += 0.2*(target-s.limits[a]) + 0.01*target*rng.NormFloat64()
	}
	s.wait, s.threshold = 0, 0
	if s.overload {
		s.wait = time.Duration(rng.Float64() * float64(30*time.Millisecond))
		s.threshold = uint16(600 + rng.IntN(200))
	}
}

func (s *service) of(rng *rand.Rand, agent int) gossip.TargetLoad {
	all := 0.0
	for _, d := range s.seen[agent] {
		all += d
	}
	return gossip.TargetLoad{
		Ready: s.ready, InFlight: int(poisson(rng, all*0.03)), Capacity: max(s.limits[agent], 0.1),
		Demand: s.seen[agent], Threshold: s.threshold, QueueWait: s.wait,
	}
}

// poisson is exact for small means, and normal for others.
func poisson(rng *rand.Rand, mean float64) float64 {
	if mean > 30 {
		return math.Max(0, math.Round(mean+math.Sqrt(mean)*rng.NormFloat64()))
	}
	limit, product, n := math.Exp(-mean), rng.Float64(), 0.0
	for product > limit {
		product *= rng.Float64()
		n++
	}
	return n
}

// age is how long ago the region was as somebody holds it to be: within a tenth
// or three times the noise of a count, class by class. The span of the history
// when it never was.
func (r *region) age(target string, held gossip.TargetLoad, now time.Time) time.Duration {
	for i := len(r.history) - 1; i >= 0; i-- {
		t := r.history[i]
		if alike(held, t.targets[target]) {
			return now.Sub(t.at)
		}
	}
	return historyKept * reportEvery
}

func alike(a, b gossip.TargetLoad) bool {
	if a.Ready != b.Ready || math.Abs(a.Capacity-b.Capacity) > 0.1*b.Capacity {
		return false
	}
	for c := range a.Demand {
		if math.Abs(a.Demand[c]-b.Demand[c]) > math.Max(0.1*b.Demand[c], 1+3*math.Sqrt(b.Demand[c])) {
			return false
		}
	}
	return true
}
