package policy

import (
	"math"
	"testing"
	"time"
)

func TestHoldIsQuietBetweenItsThresholds(t *testing.T) {
	cfg := DefaultSpillConfig()
	h := hold{share: 1}
	see := func(use float64, times int) float64 {
		for range times {
			h.step(&cfg, use, 250*time.Millisecond)
		}
		return h.share
	}
	near(t, "below 0.85 nothing spills", see(0.849, 10), 1, 0)
	near(t, "above it, down to 0.80", see(0.90, 10), 0.8/0.9, 1e-9)
	near(t, "a little less is left alone", see(0.89, 10), 0.8/0.9, 1e-9)
	near(t, "so is a little more", see(0.91, 10), 0.8/0.9, 1e-9)
	near(t, "more is given away", see(1, 10), 0.8, 1e-9)
	near(t, "less demand takes nothing back while home has 0.70", see(0.88, 400), 0.8, 1e-9)
	near(t, "below it home takes back, by the ramp", see(0.85, 4), 0.8+1.0/30, 1e-9)
	near(t, "to 0.80", see(0.85, 400), 0.8/0.85, 1e-9)
	near(t, "everything, when that is less than 0.80", see(0.74, 400), 1, 0)
	near(t, "capacity not known", see(0, 1), 1, 0)
}

func TestCriticalGainIsTheOneOfADelayedIntegrator(t *testing.T) {
	for d, want := range map[float64]float64{0: 1, 1: 0.25, 2: 4.0 / 27, 10: 0.03505, math.Inf(-1): 1, math.NaN(): 1} {
		near(t, "gain", criticalGain(d), want, 1e-4)
	}
	for _, d := range []int{1, 3, 10} {
		over := func(gain float64) (top float64) {
			w := make([]float64, 500)
			for n := 1; n < len(w); n++ {
				w[n] = w[n-1] + gain*(1-w[max(0, n-1-d)])
				top = max(top, w[n]-1)
			}
			return top
		}
		if got := over(criticalGain(float64(d))); got > 1e-3 {
			t.Errorf("delay %d: overshoot %.3f", d, got)
		}
		if got := over(1.6 * criticalGain(float64(d))); got < 0.02 {
			t.Errorf("delay %d: 1.6 times the gain overshoots by %.3f only: the bound is not tight", d, got)
		}
	}
}

func TestRingsDouble(t *testing.T) {
	ms := func(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }
	for rtt, want := range map[time.Duration]uint8{
		0: unmeasured, -1: unmeasured, 1: 0, ms(4.9): 0, ms(5): 1, ms(9.9): 1, ms(10): 2, ms(79): 4, ms(80): 5, time.Hour: maxRing, math.MaxInt64: maxRing,
	} {
		if got := ringOf(rtt); got != want {
			t.Errorf("ring of %v is %d, want %d", rtt, got, want)
		}
	}
	for _, c := range []struct {
		was  uint8
		rtt  time.Duration
		want uint8
	}{{1, ms(10.5), 1}, {1, ms(11.5), 2}, {2, ms(9.5), 2}, {2, ms(9), 1}, {1, ms(100), 5}, {unmeasured, ms(10), 2}, {3, 0, unmeasured}} {
		if got := nextRing(c.was, c.rtt); got != c.want {
			t.Errorf("from ring %d at %v: %d, want %d", c.was, c.rtt, got, c.want)
		}
	}
}

func TestTrustInAReportFades(t *testing.T) {
	cfg := DefaultSpillConfig()
	for age, want := range map[time.Duration]float64{0: 1, 2 * time.Second: 1, 8500 * time.Millisecond: 0.5, ReportExpiry: 0, time.Hour: 0} {
		near(t, age.String(), cfg.trust(age), want, 1e-9)
	}
}

func TestTheDemandOfTheDeadFades(t *testing.T) {
	cfg := DefaultSpillConfig()
	for since, want := range map[time.Duration]float64{0: 1, 2 * time.Second: 1, 6 * time.Second: 0.5, 10 * time.Second: 0, time.Hour: 0} {
		near(t, since.String(), cfg.stillExpected(since), want, 1e-9)
	}
}

func TestNoiseIsSmoothedAndAJumpIsBelieved(t *testing.T) {
	l := spillLoad{capacity: 1000, demand: 500}
	l.learn(time.Second, time.Second)
	l.demand = 520
	l.learn(time.Second, time.Second)
	near(t, "half of a small change", l.use, 0.51, 1e-9)
	l.demand = 900
	l.learn(time.Second, time.Second)
	near(t, "all of a jump", l.use, 0.9, 1e-9)
	l.capacity = 0
	l.learn(time.Second, time.Second)
	near(t, "capacity not known", l.use, 0, 0)
}

func TestServicesOfOneMeshAreSharedApart(t *testing.T) {
	w, s := newBigWorld(t, 1), NewSpill(SpillConfig{})
	now := planTime
	var v *View
	for range 40 {
		now = now.Add(250 * time.Millisecond)
		v = w.views(now)[0]
		s.Update(v, now)
	}
	if got := v.Shares[w.names[0]].Weight("region-0"); got > 0.9 {
		t.Errorf("the one that is too much keeps %.3f at home", got)
	}
	for _, name := range w.names[1:] {
		if got := v.Shares[name].Weight("region-0"); got != 1 {
			t.Errorf("%s keeps %.3f at home", name, got)
		}
	}
}

func TestSpillFollowsThePolicyAndTheMesh(t *testing.T) {
	w, s := newBigWorld(t, 1), NewSpill(SpillConfig{})
	now := planTime
	for range 40 {
		now = now.Add(250 * time.Millisecond)
		s.Update(w.views(now)[0], now)
	}
	v := w.views(now)[0]
	for name := range v.Regions {
		if name != "region-19" {
			delete(v.Regions, name)
		}
	}
	s.Update(v, now)
	shares, sum := v.Shares[w.names[0]], 0.0
	for _, leg := range shares.Legs {
		if leg.Region != "region-0" && leg.Region != "region-19" {
			t.Errorf("a share for %s, which has left", leg.Region)
		}
		sum += leg.Weight
	}
	near(t, "weights", sum, 1, 1e-9)
	v = w.views(now)[0]
	v.Policy = simPolicy(t, simOne)
	s.Update(v, now)
	if len(v.Shares) != 1 || v.Shares["svc"] == nil {
		t.Errorf("shares of another policy: %v", v.Shares)
	}
	v = &View{Region: "region-0", Built: now}
	s.Update(v, now)
	if len(v.Shares) != 0 {
		t.Errorf("shares without a policy: %v", v.Shares)
	}
}

func TestPublishedSharesNeverChange(t *testing.T) {
	w, s := newBigWorld(t, 1), NewSpill(SpillConfig{})
	now, name := planTime, w.names[0]
	type seen struct {
		shares *Shares
		copied Shares
	}
	var all []seen
	for range 40 {
		now = now.Add(250 * time.Millisecond)
		v := w.views(now)[0]
		s.Update(v, now)
		sh := v.Shares[name]
		all = append(all, seen{sh, Shares{Legs: append([]Share(nil), sh.Legs...), Reason: sh.Reason}})
	}
	for _, e := range all {
		for n := range e.copied.Legs {
			if e.shares.Legs[n] != e.copied.Legs[n] {
				t.Fatalf("%+v became %+v", e.copied, *e.shares)
			}
		}
	}
}

// pairView is a region at use times its capacity of 1000 req/s beside one other.
func pairView(t *testing.T, now time.Time, use float64, age time.Duration, other Load) *View {
	return &View{
		Region: "a", Group: "g", Built: now, Policy: simPolicy(t, simOne), Local: map[string]*Pool{"svc": simPool},
		Home: map[string]Load{"svc": {Ready: 1, Capacity: 1000, Demand: byClass(1000 * use)}}, HomeReported: now,
		Regions: map[string]*Region{"b": {
			Name: "b", Group: "g", State: RegionAlive, RTT: time.Millisecond, Reported: now.Add(-age),
			Ready: map[string]Load{"svc": other}, Agents: []Agent{{Name: "x"}},
		}},
	}
}

func targetOf(v *View, region string) float64 {
	for _, leg := range v.Shares["svc"].Legs {
		if leg.Region == region {
			return leg.Target
		}
	}
	return 0
}

func TestOldReportsVouchForLess(t *testing.T) {
	other := Load{Ready: 1, Capacity: 1000, Demand: byClass(700)} // has room for the 100 that a gives away
	for age, want := range map[time.Duration]float64{time.Second: 100, 8500 * time.Millisecond: 50, 14 * time.Second: 100.0 / 13, 20 * time.Second: 0} {
		s := NewSpill(SpillConfig{})
		v := pairView(t, planTime, 0.9, age, other)
		s.Update(v, planTime)
		near(t, age.String(), targetOf(v, "b")*900, want, 0.5)
	}
}

func TestUnknownCapacityIsGivenAsMuchAgainAsItServes(t *testing.T) {
	now, s := planTime, NewSpill(SpillConfig{})
	idle := Load{Ready: 3}
	busy := Load{Ready: 3, Demand: byClass(80)}
	v := pairView(t, now, 1.5, 0, busy)
	s.Update(v, now)
	near(t, "at first as much as its own demand", targetOf(v, "b")*1500, 80, 1e-6)
	for range 100 { // until the shares have come near
		now = now.Add(10 * time.Millisecond)
		v = pairView(t, now, 1.5, 0, busy)
		v.Regions["b"].Reported = planTime
		s.Update(v, now)
	}
	near(t, "no more before its next report", targetOf(v, "b")*1500, 80, 1e-6)
	now = now.Add(10 * time.Millisecond)
	v = pairView(t, now, 1.5, 0, busy)
	s.Update(v, now)
	near(t, "then what it got and as much as it serves with it", targetOf(v, "b")*1500, 80+160, 1)
	v = pairView(t, now, 1.5, 0, idle)
	NewSpill(SpillConfig{}).Update(v, now)
	near(t, "an idle one a little for each instance", targetOf(v, "b")*1500, 30, 1e-6)
}

func TestReportsOfSeveralRegionsWithinAnIntervalAreOneStep(t *testing.T) {
	other := Load{Ready: 1, Capacity: 1000, Demand: byClass(100)}
	after := func(looks int) float64 {
		s, now := NewSpill(SpillConfig{}), planTime
		var v *View
		for range 20 { // 500 ms apart, and nothing to do
			now = now.Add(500 * time.Millisecond)
			s.Update(pairView(t, now, 0.5, 0, other), now)
		}
		for range 4 * looks {
			now = now.Add(500 * time.Millisecond / time.Duration(looks))
			v = pairView(t, now, 1, 0, other)
			v.HomeReported = now.Truncate(500 * time.Millisecond)
			s.regions[1].interval = 500 * time.Millisecond
			s.Update(v, now)
		}
		return v.Shares["svc"].Weight("b")
	}
	near(t, "four intervals in sixteen steps", after(4), after(1), 0.02) // the first counts in full
}

func TestDistancesAreTheSourcesOwn(t *testing.T) {
	ms := time.Millisecond
	v := pairView(t, planTime, 0.5, 0, Load{Ready: 1})
	v.Regions["b"].RTT, v.Regions["b"].RTTs = 3*ms, map[string]time.Duration{"a": 4 * ms, "c": 5 * ms}
	v.Regions["c"] = &Region{Name: "c", Group: "g", State: RegionAlive, Reported: planTime, RTTs: map[string]time.Duration{"a": 7 * ms, "b": 50 * ms, "d": 9 * ms}}
	v.Regions["d"] = &Region{Name: "d", Group: "g", State: RegionAlive, Reported: planTime}
	s := NewSpill(SpillConfig{})
	s.Update(v, planTime)
	for _, c := range []struct {
		from, to string
		want     time.Duration
	}{{"a", "b", 3 * ms}, {"b", "a", 4 * ms}, {"b", "c", 5 * ms}, {"c", "b", 50 * ms}, {"a", "c", 7 * ms}, {"d", "c", 9 * ms}, {"d", "b", 0}} {
		if got := s.distance(v, s.slots[c.from], s.slots[c.to]); got != c.want {
			t.Errorf("from %s to %s: %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

func TestARegionThatJoinsMovesNoShares(t *testing.T) {
	now, s := planTime, NewSpill(SpillConfig{})
	busy := Load{Ready: 1, Capacity: 1000, Demand: byClass(700)}
	s.Update(pairView(t, now, 0.9, 0, busy), now)
	var v *View
	for range 40 {
		now = now.Add(500 * time.Millisecond)
		v = pairView(t, now, 0.82, 0, busy)
		s.Update(v, now)
	}
	before := v.Shares["svc"].Weight("b")
	v = pairView(t, now, 0.82, 0, busy)
	v.Regions["aa"] = &Region{Name: "aa", Group: "h", State: RegionUnknown}
	s.Update(v, now)
	if got := v.Shares["svc"].Weight("b"); got != before || got < 0.05 {
		t.Errorf("from %v to %v", before, got)
	}
}

func TestSharesFreezeWhenTheOwnReportIsTooOld(t *testing.T) {
	now, s := planTime, NewSpill(SpillConfig{})
	roomy, full := Load{Ready: 1, Capacity: 1000, Demand: byClass(300)}, Load{Ready: 1, Capacity: 1000, Demand: byClass(990)}
	s.Update(pairView(t, now, 1, 0, roomy), now)
	see := func(other Load) *Shares {
		v := pairView(t, now, 1, 0, other)
		v.HomeReported = planTime
		s.Update(v, now)
		return v.Shares["svc"]
	}
	for now.Sub(planTime) < 16*time.Second {
		now = now.Add(500 * time.Millisecond)
		see(roomy)
	}
	for range 20 {
		now = now.Add(500 * time.Millisecond)
		near(t, "spill although the other has no room now", see(full).Weight("b"), 0.2, 1e-6)
	}
}

// An agent that hears of other regions' instances before it hears of those
// beside it has sent nothing away that could return.
func TestWhatIsFirstFoundHereIsServedHereAtOnce(t *testing.T) {
	now, s := planTime, NewSpill(SpillConfig{})
	see := func(ready int) float64 {
		now = now.Add(100 * time.Millisecond)
		v := pairView(t, now, 0, 0, Load{Ready: 2})
		if v.Home["svc"] = (Load{Ready: ready}); ready == 0 {
			v.Local["svc"] = &Pool{}
		}
		s.Update(v, now)
		return v.Shares["svc"].Weight("a")
	}
	near(t, "nothing here yet", see(0), 0, 0)
	near(t, "found", see(2), 1, 0)
	near(t, "lost", see(0), 0, 0)
	if back := see(2); back > 0.5 {
		t.Errorf("what returns has %v at once, and is to come by a ramp", back)
	}
}
