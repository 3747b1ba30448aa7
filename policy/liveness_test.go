package policy

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

const probeEvery = 50 * time.Millisecond

var livenessTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// watchers is the gateways of one region in virtual time, each probing the same
// two gateways of region "far", and telling each other what they hear.
type watchers struct {
	now     time.Time
	names   []string
	each    map[string]*Liveness
	hears   func(watcher string) bool // whether one probe is answered
	talks   func(from, to string) bool
	members func(watcher string) []string // the fellows it believes to live
	changes map[string][]Change
	at      map[string]time.Time // of the newest change
}

func newWatchers(names ...string) *watchers {
	w := &watchers{
		now: livenessTime, names: names, each: map[string]*Liveness{},
		changes: map[string][]Change{}, at: map[string]time.Time{},
		hears: func(string) bool { return true },
		talks: func(string, string) bool { return true },
	}
	w.members = func(self string) []string { return without(names, self) }
	for _, name := range names {
		w.each[name] = NewLiveness(DefaultLivenessConfig())
		w.each[name].Watch("far", []string{"f1", "f2"}, w.now)
	}
	return w
}

func (w *watchers) run(d time.Duration) *watchers {
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(probeEvery)
		for _, name := range w.names {
			w.step(name)
		}
	}
	return w
}

func (w *watchers) step(name string) {
	l := w.each[name]
	for _, peer := range []string{"f1", "f2"} {
		if w.hears(name) {
			l.Heard("far", peer, w.now)
		}
	}
	w.note(name, l.Tick(w.now, w.members(name)))
	if w.now.Sub(livenessTime)%(2*probeEvery) != 0 {
		return
	}
	for _, to := range without(w.names, name) {
		if w.talks(name, to) {
			w.each[to].Opinion(name, "far", l.Silent("far"), w.now)
		}
	}
}

func (w *watchers) note(name string, changes []Change) {
	if len(changes) > 0 {
		w.changes[name] = append(w.changes[name], changes...)
		w.at[name] = w.now
	}
}

// forget drops the changes so far, such as the first hearing.
func (w *watchers) forget() *watchers {
	clear(w.changes)
	return w
}

func deaf(string) bool { return false }

func (w *watchers) expect(t *testing.T, watcher string, want ...RegionState) {
	t.Helper()
	var got []RegionState
	for _, c := range w.changes[watcher] {
		got = append(got, c.State)
		if c.Region != "far" || c.Reason == "" {
			t.Errorf("%s: %+v", watcher, c)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: changes %v, want %v", watcher, w.changes[watcher], want)
	}
}

func TestACutRegionIsDownWithinASecond(t *testing.T) {
	for phase := range 20 { // of the cut against the probes and opinions
		w := newWatchers("a", "b", "c").run(2*time.Second + time.Duration(phase)*probeEvery).forget()
		cut := w.now
		w.hears = deaf
		w.run(5 * time.Second)
		for _, name := range w.names {
			w.expect(t, name, RegionDown)
			if took := w.at[name].Sub(cut); took > time.Second || took < 700*time.Millisecond {
				t.Errorf("%s needed %v", name, took)
			}
			if l := w.each[name]; !slices.Equal(l.Down(), []string{"far"}) || l.State("far") != RegionDown || !l.Silent("far") {
				t.Errorf("%s: down %v", name, l.Down())
			}
		}
	}
}

func TestOneOfTwoGatewaysIsLifeEnough(t *testing.T) {
	l, now := NewLiveness(DefaultLivenessConfig()), livenessTime
	l.Watch("far", []string{"f1", "f2"}, now)
	for range 200 {
		now = now.Add(probeEvery)
		l.Heard("far", "f2", now)
		for _, c := range l.Tick(now, nil) {
			if c.State == RegionDown {
				t.Fatal("down although one gateway answers")
			}
		}
	}
}

func TestWhatOnlyIDoNotHearIsNotDown(t *testing.T) {
	w := newWatchers("a", "b", "c").run(2 * time.Second).forget()
	w.hears = func(name string) bool { return name != "a" }
	w.run(time.Minute)
	for _, name := range w.names {
		w.expect(t, name)
	}
	if !w.each["a"].Silent("far") || w.each["b"].Silent("far") {
		t.Error("own opinions are wrong")
	}
}

func TestASecondSilentGatewayConfirms(t *testing.T) {
	w := newWatchers("a", "b", "c").run(2 * time.Second).forget()
	w.hears = func(name string) bool { return name == "c" }
	w.run(2 * time.Second)
	w.expect(t, "a", RegionDown)
	w.expect(t, "b", RegionDown)
	w.expect(t, "c")
}

func TestAGatewayWithoutSpeakingFellowsDecidesAlone(t *testing.T) {
	w := newWatchers("a", "b").run(2 * time.Second).forget()
	cut := w.now
	w.hears, w.talks = deaf, func(string, string) bool { return false } // b died; membership has not noticed
	w.run(2 * time.Second)
	w.expect(t, "a", RegionDown)
	if took := w.at["a"].Sub(cut); took > time.Second {
		t.Errorf("took %v", took)
	}
}

func TestOnlyFellowsHaveASay(t *testing.T) {
	w := newWatchers("a", "b").run(2 * time.Second).forget()
	w.hears = func(name string) bool { return name == "b" }
	w.members = func(string) []string { return nil } // b is no gateway any more, but still talks
	w.run(2 * time.Second)
	w.expect(t, "a", RegionDown)
}

func TestANewlyStartedFellowDoesNotVeto(t *testing.T) {
	w := newWatchers("a", "b").run(2 * time.Second)
	w.hears = deaf
	w.each["b"] = NewLiveness(DefaultLivenessConfig()) // restarted at the moment of the cut
	w.each["b"].Watch("far", []string{"f1", "f2"}, w.now)
	w.forget().run(2 * time.Second)
	w.expect(t, "a", RegionDown)
	w.expect(t, "b")
}

func TestAStallOfMyOwnIsNotSilence(t *testing.T) {
	for _, stall := range []time.Duration{150 * time.Millisecond, time.Second, time.Hour} {
		w := newWatchers("a").run(2 * time.Second).forget()
		for range 20 { // stands still, then goes on
			w.now = w.now.Add(stall)
			w.note("a", w.each["a"].Tick(w.now, nil))
			w.run(probeEvery)
		}
		w.expect(t, "a")
	}
}

func TestAStallDoesNotMakeFellowsStale(t *testing.T) {
	w := newWatchers("a", "b").run(2 * time.Second).forget()
	w.hears = func(name string) bool { return name == "b" }
	w.run(2 * time.Second)
	w.now = w.now.Add(10 * time.Second)
	w.note("a", w.each["a"].Tick(w.now, w.members("a")))
	w.expect(t, "a")
}

func TestAMachineThatAlwaysStallsStillDecides(t *testing.T) {
	w := newWatchers("a").run(2 * time.Second).forget()
	for range 30 {
		w.now = w.now.Add(120 * time.Millisecond)
		w.note("a", w.each["a"].Tick(w.now, nil))
	}
	w.expect(t, "a", RegionDown)
}

func TestAStallDoesNotInterruptTheReturn(t *testing.T) {
	w := newWatchers("a").run(2 * time.Second)
	w.hears = deaf
	w.run(2 * time.Second).forget()
	w.hears = func(string) bool { return true }
	w.run(2 * time.Second)
	w.now = w.now.Add(5 * time.Second) // probes first, then the tick
	w.run(950 * time.Millisecond)
	w.expect(t, "a")
	w.run(200 * time.Millisecond)
	w.expect(t, "a", RegionAlive)
}

func TestReturnAsksForThreeSecondsWithoutAGap(t *testing.T) {
	w := newWatchers("a", "b").run(2 * time.Second)
	w.hears = deaf
	w.run(2 * time.Second).forget()
	for range 5 {
		w.hears = func(string) bool { return true }
		w.run(2500 * time.Millisecond)
		w.hears = deaf
		w.run(800 * time.Millisecond)
	}
	w.expect(t, "a")
	healed := w.now
	w.hears = func(string) bool { return true }
	w.run(10 * time.Second)
	w.expect(t, "a", RegionAlive)
	if took := w.at["a"].Sub(healed); took < 3*time.Second || took > 3200*time.Millisecond {
		t.Errorf("back after %v", took)
	}
	if len(w.each["a"].Down()) != 0 || w.each["a"].Silent("far") {
		t.Error("still called down or silent")
	}
}

func TestAHalfDeafGatewayDoesNotHoldARegionDown(t *testing.T) {
	w := newWatchers("a", "b", "c").run(2 * time.Second)
	w.hears = deaf
	w.run(2 * time.Second).forget()
	w.hears = func(name string) bool { return name != "a" }
	w.run(time.Minute)
	for _, name := range w.names {
		w.expect(t, name, RegionAlive)
	}
}

func TestARegionNeverHeardIsUnknownNotDown(t *testing.T) {
	w := newWatchers("a", "b")
	w.hears = deaf
	w.run(time.Minute)
	w.expect(t, "a")
	if l := w.each["a"]; l.State("far") != RegionUnknown || !l.Silent("far") {
		t.Errorf("state %v, silent %v", l.State("far"), l.Silent("far"))
	}
	w.hears = func(string) bool { return true }
	w.run(probeEvery)
	w.expect(t, "a", RegionAlive)
}

func TestNothingWatchedIsUnknown(t *testing.T) {
	w := newWatchers("a").run(2 * time.Second).forget()
	l := w.each["a"]
	l.Watch("far", nil, w.now)
	w.hears = deaf
	w.run(10 * time.Second)
	w.expect(t, "a")
	if l.State("far") != RegionUnknown || l.Silent("far") || l.State("nowhere") != RegionUnknown {
		t.Error("not unknown")
	}
}

func TestSilentPeersThatAreNoLongerWatchedDoNotResurrectARegion(t *testing.T) {
	for _, next := range [][]string{nil, {"f2"}, {"f3", "f4"}} {
		w := newWatchers("a", "b").run(2 * time.Second)
		w.hears = deaf
		w.run(2 * time.Second).forget()
		for range 20 {
			for _, name := range w.names {
				w.each[name].Watch("far", next, w.now)
			}
			w.run(500 * time.Millisecond)
		}
		w.expect(t, "a")
		if w.each["a"].State("far") != RegionDown || !w.each["a"].Silent("far") {
			t.Errorf("watching %v: %v", next, w.each["a"].State("far"))
		}
	}
}

func TestOthersDoNotBringBackWhatIsNotWatchedHere(t *testing.T) {
	w := newWatchers("a", "b").run(2 * time.Second)
	w.hears = deaf
	w.run(2 * time.Second).forget()
	w.each["a"].Watch("far", nil, w.now)
	w.each["b"].Forget("far") // says nothing is silent, as a gateway does that knows no such region
	w.run(10 * time.Second)
	w.expect(t, "a")
}

func TestForgottenIsUnknown(t *testing.T) {
	w := newWatchers("a").run(2 * time.Second)
	w.hears = deaf
	w.run(2 * time.Second)
	w.each["a"].Forget("far")
	if len(w.each["a"].Down()) != 0 {
		t.Error("still down")
	}
}

func TestNewGatewaysGetTimeToAnswer(t *testing.T) {
	l, now := NewLiveness(DefaultLivenessConfig()), livenessTime
	l.Watch("far", []string{"f1"}, now)
	l.Heard("far", "f1", now)
	l.Tick(now, nil)
	for range 13 {
		now = now.Add(probeEvery)
		l.Tick(now, nil)
	}
	l.Watch("far", []string{"f2"}, now) // 650 ms after the last packet
	for range 13 {
		now = now.Add(probeEvery)
		if c := l.Tick(now, nil); len(c) > 0 {
			t.Fatalf("new gateway had no time: %+v", c)
		}
	}
	l.Heard("far", "f2", now)
	if l.Tick(now.Add(probeEvery), nil); l.State("far") != RegionAlive {
		t.Error(l.State("far"))
	}
}

func TestChangingGatewaysDoNotPutOffTheVerdict(t *testing.T) {
	l, now := NewLiveness(DefaultLivenessConfig()), livenessTime
	l.Watch("far", []string{"f"}, now)
	l.Heard("far", "f", now)
	l.Tick(now, nil)
	for i := range 60 {
		now = now.Add(probeEvery)
		l.Watch("far", []string{fmt.Sprint("f", i)}, now)
		l.Tick(now, nil)
	}
	if l.State("far") != RegionDown {
		t.Error("a dead region lives on by changing its gateways")
	}
}

func TestStrangersAreNotHeard(t *testing.T) {
	w := newWatchers("a").run(2 * time.Second).forget()
	w.hears = deaf
	for range 40 {
		w.each["a"].Heard("far", "stranger", w.now)
		w.each["a"].Heard("elsewhere", "f1", w.now)
		w.each["a"].Opinion("b", "elsewhere", true, w.now)
		w.run(probeEvery)
	}
	w.expect(t, "a", RegionDown)
}
