package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/tidegate/tidegate/gossip"
)

const (
	comeUp      = 90 * time.Second // for all to know all
	sampleEvery = 200 * time.Millisecond
	wordEvery   = 10 * time.Millisecond
	lastProbe   = time.Minute // memberlist's may outlive its pool by that much
	servicesAt  = 3           // services looked at, for each agent and region and sample
)

// observer holds what the mesh did and what was measured of it.
type observer struct {
	fleet   *fleet
	regions []*region
	rng     *rand.Rand

	mu   sync.Mutex // guards made and the histories of regions
	made map[string]map[gossip.Version]time.Time

	digests, vectors, entries []float64     // ages, seconds
	oldest                    []float64     // digest at an agent
	word                      time.Duration // for an operator's word to reach all
	gone                      time.Duration // for all to know that a region is cut off
	unknown                   int
}

func measure(o options) ([]bar, error) {
	f, err := newFleet(o.regions, o.agents)
	if err != nil {
		return nil, err
	}
	w := &observer{fleet: f, rng: rand.New(rand.NewPCG(o.seed, 2)), made: make(map[string]map[gossip.Version]time.Time)}
	for r := range o.regions {
		w.regions = append(w.regions, newRegion(regionName(r), o.services, o.agents, o.seed*1000+uint64(r)))
		w.made[regionName(r)] = make(map[gossip.Version]time.Time)
	}
	if err := f.run(o.regions, o.agents); err != nil {
		return nil, errors.Join(err, f.close())
	}
	stop := make(chan struct{})
	var work sync.WaitGroup
	for _, a := range f.agents {
		work.Go(func() { w.watch(a, stop) })
		work.Go(func() { newProber(f, a).run(stop) })
	}
	work.Go(func() { w.drive(stop) })
	err = w.observe(o)
	close(stop)
	work.Wait()
	err = errors.Join(err, f.close())
	<-time.After(lastProbe)
	if err != nil {
		return nil, err
	}
	return w.judge(), nil
}

// watch notes when a lead made each version of its region's reports.
func (w *observer) watch(a *agent, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-a.mesh.Changed():
		}
		s, now := a.mesh.State(), time.Now()
		if !s.IsLead {
			continue
		}
		own := s.Regions[regionName(a.region)]
		w.mu.Lock()
		made := w.made[own.Region]
		if own.Digest != nil {
			note(made, own.Digest.Version, now)
		}
		if own.Vector != nil {
			note(made, own.Vector.Version, now)
		}
		w.mu.Unlock()
	}
}

func note(made map[gossip.Version]time.Time, v gossip.Version, now time.Time) {
	if _, known := made[v]; !known && made != nil {
		made[v] = now
	}
}

// drive publishes every agent's load, each region at its own moment.
func (w *observer) drive(stop <-chan struct{}) {
	begun := time.Now()
	step := reportEvery / time.Duration(len(w.regions))
	tick := time.NewTicker(step)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		r := w.regions[n%len(w.regions)]
		w.mu.Lock()
		loads := r.advance(time.Now(), time.Since(begun))
		w.mu.Unlock()
		for i, a := range w.fleet.agents[(n%len(w.regions))*r.agents:][:r.agents] {
			if err := a.mesh.Publish(loads[i]); err != nil {
				fmt.Fprintln(os.Stderr, "gossipscale:", err)
			}
		}
	}
}

func (w *observer) observe(o options) error {
	begun := time.Now()
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for missing := w.missing(); missing != nil; missing = w.missing() {
		if time.Since(begun) > comeUp {
			return fmt.Errorf("not within %s: %w", comeUp, missing)
		}
		<-tick.C
	}
	up := time.Since(begun)
	fmt.Fprintf(os.Stderr, "all know all after %.1f s\n", up.Seconds())
	for calm := time.Now(); time.Since(calm) < o.settle; {
		<-tick.C
	}
	for _, a := range w.fleet.agents {
		a.wasGateway = a.mesh.State().IsGateway
		a.total = a.traffic.total()
		for c := range a.before {
			a.before[c] = a.sent[c].Load() + a.received[c].Load()
		}
	}
	if err := w.order(); err != nil {
		return err
	}
	start := time.Now()
	for time.Since(start) < o.measure {
		<-tick.C
		w.sample()
	}
	span := time.Since(start).Seconds()
	for _, a := range w.fleet.agents {
		a.total = int64(float64(a.traffic.total()-a.total) / span)
		for c := range a.before {
			a.before[c] = int64(float64(a.sent[c].Load()+a.received[c].Load()-a.before[c]) / span)
		}
	}
	return w.lose()
}

// lose cuts the last region off and waits until every other agent knows.
func (w *observer) lose() error {
	lost := len(w.regions) - 1
	begun := time.Now()
	w.fleet.lost.Store(int64(lost) + 1)
	tick := time.NewTicker(wordEvery)
	defer tick.Stop()
	for !w.allLeft(lost) {
		if <-tick.C; time.Since(begun) > comeUp {
			return fmt.Errorf("not every agent knows within %s that a region is gone", comeUp)
		}
	}
	w.gone = time.Since(begun)
	return nil
}

func (w *observer) allLeft(lost int) bool {
	for _, a := range w.fleet.agents {
		if a.region != lost && !slices.Contains(a.mesh.State().Down, regionName(lost)) {
			return false
		}
	}
	return true
}

// order gives an operator's word to an agent that is no gateway, where there is
// one, and waits until all know.
func (w *observer) order() error {
	from := w.fleet.agents[0]
	for _, a := range w.fleet.agents {
		if !a.wasGateway {
			from = a
		}
	}
	begun := time.Now()
	err := from.mesh.Override(gossip.Override{Region: regionName(0), Kind: gossip.OverridePin, Reason: "measured", Left: time.Hour})
	if err != nil {
		return err
	}
	tick := time.NewTicker(wordEvery)
	defer tick.Stop()
	for !w.allTold() {
		if <-tick.C; time.Since(begun) > comeUp {
			return fmt.Errorf("an operator's word does not reach all within %s", comeUp)
		}
	}
	w.word = time.Since(begun)
	return nil
}

func (w *observer) allTold() bool {
	for _, a := range w.fleet.agents {
		if len(a.mesh.State().Overrides) == 0 {
			return false
		}
	}
	return true
}

// missing says what keeps an agent from knowing the whole mesh.
func (w *observer) missing() error {
	each := len(w.fleet.agents) / len(w.regions)
	for _, a := range w.fleet.agents {
		s := a.mesh.State()
		if len(s.Regions) != len(w.regions) || len(s.Members) != each {
			return fmt.Errorf("%s knows %d of %d regions, and %d of %d agents of its own", a.name, len(s.Regions), len(w.regions), len(s.Members), each)
		}
		for name, r := range s.Regions {
			if r.Digest == nil || r.Vector == nil || len(r.Vector.Targets) == 0 {
				return fmt.Errorf("%s has no whole report of %s", a.name, name)
			}
		}
	}
	return nil
}

// sample looks at every agent once.
func (w *observer) sample() {
	for _, a := range w.fleet.agents {
		s := a.mesh.State()
		w.mu.Lock()
		now, known := time.Now(), len(w.digests)
		for i, r := range w.regions {
			info := s.Regions[r.name]
			if i == a.region || info.Digest == nil || info.Vector == nil {
				continue
			}
			w.digests = w.age(w.digests, r.name, info.Digest.Version, now)
			w.vectors = w.age(w.vectors, r.name, info.Vector.Version, now)
			for range servicesAt {
				name := r.services[w.rng.IntN(len(r.services))].name
				w.entries = append(w.entries, r.age(name, info.Vector.Targets[name], now).Seconds())
			}
		}
		if ages := w.digests[known:]; len(ages) > 0 {
			w.oldest = append(w.oldest, slices.Max(ages))
		}
		w.mu.Unlock()
	}
}

func (w *observer) age(ages []float64, region string, v gossip.Version, now time.Time) []float64 {
	made, known := w.made[region][v]
	if !known {
		w.unknown++
		return ages
	}
	return append(ages, now.Sub(made).Seconds())
}

func (w *observer) judge() []bar {
	var gateways, others []float64
	var parts [2][classes]float64
	for _, a := range w.fleet.agents {
		role := 0
		if a.wasGateway {
			gateways = append(gateways, float64(a.total)/1000)
		} else {
			others, role = append(others, float64(a.total)/1000), 1
		}
		for c := range a.before {
			parts[role][c] += float64(a.before[c]) / 1000
		}
	}
	bars := []bar{
		limit("digest age at every agent, p99", quantile(w.digests, 0.99), "s", 1),
		limit("the oldest digest at every agent, p99", quantile(w.oldest, 0.99), "s", 1),
		limit("vector age at every agent, p99", quantile(w.vectors, 0.99), "s", 2),
		limit("age of what a vector says of a service, p99", quantile(w.entries, 0.99), "s", 2),
		limit("an operator's word at every agent", w.word.Seconds(), "s", 2),
		limit("every agent knows that a region is gone", w.gone.Seconds(), "s", 1),
		limit("bytes of a gateway, the busiest", quantile(gateways, 1), "kB/s", 64),
	}
	if len(others) > 0 {
		bars = append(bars, limit("bytes of another agent, the busiest", quantile(others, 1), "kB/s", 20))
	}
	for role, name := range []string{"gateways", "others"} {
		n := float64([]int{len(gateways), len(others)}[role])
		if n == 0 {
			continue
		}
		for c, what := range []string{"datagrams", "streams", "pulls"} {
			bars = append(bars, bar{Bar: name + ", mean: " + what, Value: parts[role][c] / n, Unit: "kB/s", Pass: true})
		}
	}
	return append(bars,
		bar{Bar: "digest age, median", Value: quantile(w.digests, 0.5), Unit: "s", Pass: true},
		bar{Bar: "vector age, median", Value: quantile(w.vectors, 0.5), Unit: "s", Pass: true},
		bar{Bar: "age of what is said of a service, median", Value: quantile(w.entries, 0.5), Unit: "s", Pass: true},
		limit("reports whose making was missed", float64(w.unknown)/float64(len(w.digests)+1), "share", 0.01))
}

func limit(name string, value float64, unit string, bound float64) bar {
	return bar{name, value, unit, bound, value <= bound}
}

func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
