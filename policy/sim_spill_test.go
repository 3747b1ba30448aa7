package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The simulator runs the real Spill and Plan of many agents in many regions
// under virtual time. Each agent has its own view, made of reports that reach it
// late, at a moment of its own. Demand is a fluid; what matters here is where it
// goes. Reproducible: everything random comes from one seed.

const (
	simStep = 50 * time.Millisecond
	simTick = 250 * time.Millisecond // between the views of an agent
)

var simStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// simRegion is a region as it really is.
type simRegion struct {
	name, group string
	capacity    float64
	demand      float64
	x           float64 // place on a line, in ms: distance is RTT
	up          bool
	unready     bool
	cut         bool // hears nobody and is heard by nobody
	draining    bool

	agents []*simAgent
	load   float64 // what is sent to it
	shown  float64 // demand as measured: noisy
	retry  float64 // demand that was shed and comes again
	estim  float64 // capacity as reported
	seen   bool    // congestion was seen
}

type simReport struct {
	from    string
	arrives time.Time
	load    Load
	rtts    map[string]time.Duration
	drain   bool
}

type simAgent struct {
	region  *simRegion
	phase   time.Duration
	delay   float64 // of reports, relative
	spill   *Spill
	heard   map[string]simReport
	down    map[string]bool
	home    simReport
	weights []float64 // by place in simSpill.regions
	view    *View
}

type simSpill struct {
	t         testing.TB
	rng       *rand.Rand
	now       time.Time
	policy    *Policy
	regions   []*simRegion
	pending   []simReport
	overrides map[string]Override
	cfg       SpillConfig
	naive     bool // no shares: the nearest region that can serve takes all

	delay    time.Duration // of a report, from its making to its arrival
	interval time.Duration // between reports
	noise    float64       // standard deviation of measured demand, relative
	retries  float64       // part of what is shed that comes again within a second
	learn    bool          // capacity is known only after congestion
	loadBias float64       // capacity is underestimated so much while idle
	thrash   float64       // capacity looks that much smaller for each part of it that is in use beyond 0.6
	sample   func(s *simSpill)
}

func newSimSpill(t testing.TB, seed uint64, source string, agents int, regions ...*simRegion) *simSpill {
	s := &simSpill{
		t: t, rng: rand.New(rand.NewPCG(seed, 7)), now: simStart, policy: simPolicy(t, source), regions: regions,
		overrides: map[string]Override{}, delay: 500 * time.Millisecond, interval: 500 * time.Millisecond,
	}
	for _, r := range regions {
		r.up = true
		for range agents {
			r.agents = append(r.agents, s.agent(r))
		}
	}
	return s
}

func simPolicy(t testing.TB, source string) *Policy {
	p, diags := Parse(File{Name: "sim.hcl", Src: []byte(source)})
	if diags != nil {
		t.Fatal(diags)
	}
	return p
}

func (s *simSpill) agent(r *simRegion) *simAgent {
	return &simAgent{
		region: r, spill: NewSpill(s.cfg), heard: map[string]simReport{}, down: map[string]bool{},
		phase: time.Duration(s.rng.Int64N(int64(simTick))).Truncate(simStep),
		delay: 0.8 + 0.4*s.rng.Float64(),
	}
}

func region(name, group string, x, capacity, demand float64) *simRegion {
	return &simRegion{name: name, group: group, x: x, capacity: capacity, demand: demand}
}

func (s *simSpill) place(name string) int {
	return slices.IndexFunc(s.regions, func(r *simRegion) bool { return r.name == name })
}

func (s *simSpill) region(name string) *simRegion { return s.regions[s.place(name)] }

// configure begins all agents anew under another configuration.
func (s *simSpill) configure(cfg SpillConfig) {
	s.cfg = cfg
	for _, r := range s.regions {
		for _, a := range r.agents {
			a.spill = NewSpill(cfg)
		}
	}
}

// run lets time pass.
func (s *simSpill) run(d time.Duration) {
	for end := s.now.Add(d); s.now.Before(end); s.now = s.now.Add(simStep) {
		s.flow()
		s.report()
		s.deliver()
		for _, r := range s.regions {
			for _, a := range r.agents {
				if r.up && s.since()%simTick == a.phase {
					s.tick(a)
				}
			}
		}
		if s.sample != nil {
			s.sample(s)
		}
	}
}

func (s *simSpill) since() time.Duration { return s.now.Sub(simStart) }

// flow sends every region's demand where its agents say.
func (s *simSpill) flow() {
	for _, r := range s.regions {
		r.load = 0
	}
	for _, r := range s.regions {
		for _, a := range r.agents {
			for to, weight := range a.weights {
				if r.up {
					s.regions[to].load += weight * r.offered() / float64(len(r.agents))
				}
			}
		}
	}
	for _, r := range s.regions {
		shed := max(0, r.load-r.capacity)
		r.retry += (s.retries*shed - r.retry) * float64(simStep) / float64(time.Second)
		r.seen = r.seen || r.load > 0.9*r.capacity
	}
}

func (r *simRegion) offered() float64 { return r.demand + r.retry }

func (s *simSpill) report() {
	for n, r := range s.regions {
		phase := time.Duration(n) * s.interval / time.Duration(len(s.regions))
		if !r.up || r.cut || (s.since()-phase.Truncate(simStep))%s.interval != 0 {
			continue
		}
		s.pending = append(s.pending, s.reportOf(r))
	}
}

func (s *simSpill) reportOf(r *simRegion) simReport {
	rep := simReport{from: r.name, rtts: map[string]time.Duration{}, drain: r.draining}
	for _, o := range s.regions {
		if o != r {
			rep.rtts[o.name] = s.rtt(r, o)
		}
	}
	r.shown = r.offered() * (1 + s.noise*s.rng.NormFloat64())
	r.estim = r.capacity * (1 - s.loadBias*(1-min(1, r.load/r.capacity))) * (1 + s.noise/2*s.rng.NormFloat64())
	r.estim -= s.thrash * max(0, r.load-0.6*r.capacity)
	if s.learn && !r.seen {
		r.estim = 0
	}
	rep.load = Load{Ready: 4, Capacity: r.estim, Demand: byClass(r.shown)}
	if r.unready {
		rep.load.Ready = 0
	}
	rep.arrives = s.now
	return rep
}

// byClass is the mix of the simulation: a fifth is critical.
func byClass(rate float64) [4]float64 {
	return [4]float64{rate * 0.4, rate * 0.2, rate * 0.2, rate * 0.2}
}

func (s *simSpill) rtt(a, b *simRegion) time.Duration {
	return time.Duration(max(1, max(a.x-b.x, b.x-a.x)) * float64(time.Millisecond))
}

// deliver brings each report to each agent in the agent's own time.
func (s *simSpill) deliver() {
	keep := s.pending[:0]
	for _, rep := range s.pending {
		age := s.now.Sub(rep.arrives)
		for _, r := range s.regions {
			for _, a := range r.agents {
				due := time.Duration(float64(s.delay) * a.delay).Truncate(simStep)
				if due == age && (!r.cut || r.name == rep.from) {
					s.hear(a, rep)
				}
			}
		}
		if age < 2*s.delay {
			keep = append(keep, rep)
		}
	}
	s.pending = keep
}

func (s *simSpill) hear(a *simAgent, rep simReport) {
	rep.arrives = s.now
	if rep.from == a.region.name {
		a.home = rep
		return
	}
	a.heard[rep.from] = rep
}

func (s *simSpill) tick(a *simAgent) {
	v := s.viewOf(a)
	if !s.naive {
		a.spill.Update(v, s.now)
	}
	d := Target{Service: "svc"}
	a.weights, a.view = make([]float64, len(s.regions)), v
	for _, leg := range v.Plan(d, s.policy.Services()["svc"].Failover, nil, nil).Legs {
		a.weights[s.place(leg.Region)] = leg.Weight
	}
}

// share is the part of a region's demand that goes to another, over its agents.
func (s *simSpill) share(from, to string) float64 {
	sum, agents := 0.0, s.region(from).agents
	for _, a := range agents {
		if a.weights != nil {
			sum += a.weights[s.place(to)]
		}
	}
	return sum / float64(len(agents))
}

func (s *simSpill) spilled(from string) float64 { return 1 - s.share(from, from) }

// use is the load of a region ÷ its capacity.
func (s *simSpill) use(name string) float64 { r := s.region(name); return r.load / r.capacity }

func (s *simSpill) String() string {
	text := s.since().String()
	for _, r := range s.regions {
		text += fmt.Sprintf(" %s %.0f/%.0f(own %.0f)", r.name, r.load, r.capacity, r.demand)
	}
	return text
}
