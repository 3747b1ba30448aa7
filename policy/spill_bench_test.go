package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// bigWorld is 20 regions and 200 services, each region a different distance
// away; spilling says how many of the services have a region that spills.
type bigWorld struct {
	policy   *Policy
	names    []string
	spilling int
	tick     int
}

func newBigWorld(t testing.TB, spilling int) *bigWorld {
	var source strings.Builder
	w := &bigWorld{spilling: spilling}
	for i := range 200 {
		name := fmt.Sprint("service-", i)
		w.names = append(w.names, name)
		fmt.Fprintf(&source, "service %q {\n  beyond_group = true\n}\n", name)
	}
	w.policy = simPolicy(t, source.String())
	return w
}

func (w *bigWorld) loads(region int) map[string]Load {
	loads := make(map[string]Load, len(w.names))
	for n, name := range w.names {
		demand := 400 + float64((w.tick*31+n*17+region*7)%40)
		if n < w.spilling && (region == n%20 || region == (n+7)%20) {
			demand += 550
		}
		loads[name] = Load{Ready: 3, Capacity: 1000, Demand: byClass(demand)}
	}
	return loads
}

// views are one interval of 250 ms: every region reports once, each at its time.
func (w *bigWorld) views(now time.Time) []*View {
	w.tick++
	regions := map[string]*Region{}
	for r := 1; r < 20; r++ {
		name := fmt.Sprint("region-", r)
		regions[name] = &Region{
			Name: name, Group: fmt.Sprint(r / 7), State: RegionAlive, RTT: time.Duration(r*5) * time.Millisecond,
			Reported: now, Ready: w.loads(r), Agents: []Agent{{Name: "x"}},
		}
	}
	return []*View{{
		Region: "region-0", Group: "0", Built: now, Policy: w.policy, Regions: regions,
		Home: w.loads(0), HomeReported: now,
	}}
}

// BenchmarkSpillUpdate is one Update at 20 regions and 200 services in which all
// regions have new reports: more than an agent ever sees at once.
func BenchmarkSpillUpdate(b *testing.B) {
	for _, c := range []struct {
		name     string
		spilling int
		dead     bool
		quiet    bool
	}{{"all new", 0, false, false}, {"all new, 20 spill", 20, false, false}, {"all new, 200 spill", 200, false, false}, {"a region lost", 0, true, false}, {"nothing new", 20, false, true}} {
		b.Run(c.name, func(b *testing.B) {
			w, s, now := newBigWorld(b, c.spilling), NewSpill(SpillConfig{}), planTime
			var views [][]*View
			for range 8 {
				now = now.Add(250 * time.Millisecond)
				views = append(views, w.views(now))
				s.Update(views[len(views)-1][0], now)
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				now = now.Add(250 * time.Millisecond)
				v := views[n%len(views)][0]
				n++
				if !c.quiet {
					v.HomeReported = now
					for _, r := range v.Regions {
						r.Reported = now
					}
				} else {
					v = views[0][0]
				}
				if c.dead {
					v.Regions["region-5"].State = RegionDown
					if n%20 == 0 {
						s.regions[s.slots["region-5"]].diedAt = now
					}
				}
				s.Update(v, now)
			}
		})
	}
}
