package policy

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// lossy hears and talks through links that lose the given share.
func (w *watchers) lossy(rng *rand.Rand, loss float64) {
	w.hears = func(string) bool { return rng.Float64() >= loss }
	w.talks = func(string, string) bool { return rng.Float64() >= loss }
}

func TestLossUpToAFifthNeverEvicts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		w := newWatchers("a", "b", "c")
		w.lossy(rng, rapid.Float64Range(0, 0.2).Draw(t, "loss"))
		w.run(2 * time.Second).forget().run(time.Minute)
		for _, name := range w.names {
			if len(w.changes[name]) > 0 {
				t.Fatalf("%s: %v", name, w.changes[name])
			}
		}
	})
}

// Every real event, a cut of ten seconds or a heal, makes at most one change in
// each gateway, within its time, whatever the loss up to a fifth.
func TestNothingFlaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		loss := rapid.Float64Range(0, 0.2).Draw(t, "loss")
		w := newWatchers("a", "b", "c")
		w.lossy(rng, loss)
		w.run(2 * time.Second)
		for range rapid.IntRange(1, 4).Draw(t, "events") {
			w.forget().hears = deaf
			w.run(randomTime(t, "cut", 1100*time.Millisecond, 10*time.Second))
			w.expectOne(t, RegionDown)
			w.forget().lossy(rng, loss)
			w.run(randomTime(t, "heal", 3500*time.Millisecond, 10*time.Second))
			w.expectOne(t, RegionAlive)
		}
	})
}

func (w *watchers) expectOne(t *rapid.T, state RegionState) {
	for _, name := range w.names {
		if c := w.changes[name]; len(c) != 1 || c[0].State != state {
			t.Fatalf("%s: changes %v, want one to %v", name, c, state)
		}
	}
}

func randomTime(t *rapid.T, label string, from, to time.Duration) time.Duration {
	return time.Duration(rapid.Int64Range(int64(from/probeEvery), int64(to/probeEvery)).Draw(t, label)) * probeEvery
}

// However cuts come and go, between two changes of a gateway lie the silence or
// the return that they ask for.
func TestChangesKeepTheirDistance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWatchers("a", "b")
		for range rapid.IntRange(1, 20).Draw(t, "phases") {
			heard := []string{"", "a", "b", "ab"}[rapid.IntRange(0, 3).Draw(t, "who hears")]
			w.hears = func(name string) bool { return slices.Contains([]string{name, "ab"}, heard) }
			for end := w.now.Add(randomTime(t, "phase", probeEvery, 5*time.Second)); w.now.Before(end); {
				w.checkDistance(t)
			}
		}
	})
}

func (w *watchers) checkDistance(t *rapid.T) {
	before := map[string]time.Time{}
	for _, name := range w.names {
		before[name] = w.at[name]
	}
	w.forget().run(probeEvery)
	for _, name := range w.names {
		for _, c := range w.changes[name] {
			least := DefaultLivenessConfig().Return
			if c.State == RegionDown {
				least = 0 // the other may have confirmed at last
			}
			if first := before[name].IsZero(); !first && w.now.Sub(before[name]) < least {
				t.Fatalf("%s: %+v only %v after the change before", name, c, w.now.Sub(before[name]))
			}
		}
	}
}
