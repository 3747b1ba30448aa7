package gossip

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

func busyTargets(n int) map[string]TargetLoad {
	targets := make(map[string]TargetLoad, n)
	for i := range n {
		rate := float64(10 + i)
		targets[fmt.Sprintf("service-%03d", i)] = TargetLoad{Ready: 3, InFlight: 4, Capacity: 2 * rate,
			Demand: [4]float64{rate / 4, rate / 4, rate / 4, rate / 4}}
	}
	return targets
}

// apply is what a receiver makes of entries.
func apply(t *teller, held map[string]TargetLoad, entries []entry) {
	for _, e := range entries {
		held[t.names[e.id]] = e.load
	}
}

func TestWhatChangedMostIsToldFirst(t *testing.T) {
	targets := busyTargets(200)
	tell := newTeller(targets)
	for name, load := range targets {
		load.Demand[0] *= 1.5
		targets[name] = load
	}
	lost, jumped := targets["service-007"], targets["service-150"]
	lost.Ready = 0
	jumped.Demand[3] *= 20
	targets["service-007"], targets["service-150"] = lost, jumped
	held := make(map[string]TargetLoad)
	entries := tell.next(targets, 1, vectorBudget)
	apply(tell, held, entries)
	if held["service-007"] != rounded(lost) || held["service-150"] != rounded(jumped) {
		t.Errorf("the first delta of %d entries lacks what changed most: %+v", len(entries), held)
	}
	if size := len(encodeEntries(entries)); size > vectorBudget.urgent {
		t.Errorf("%d bytes of entries, %d are allowed", size, vectorBudget.urgent)
	}
}

func TestSmallChangesGoOutByAndByInLessRoom(t *testing.T) {
	targets := busyTargets(200)
	tell := newTeller(targets)
	for name, load := range targets {
		load.Capacity *= 1.03
		targets[name] = load
	}
	first := tell.next(targets, 1, vectorBudget)
	if size := len(encodeEntries(first)); size > vectorBudget.calm || len(first) == 0 {
		t.Errorf("%d entries in %d bytes, of changes by 3%%: %d bytes are for those", len(first), size, vectorBudget.calm)
	}
	told := make(map[int]bool)
	for range roundDeltas / 3 {
		for _, e := range tell.next(targets, 1, vectorBudget) {
			told[e.id] = true
		}
	}
	if len(told)+len(first) < len(targets) {
		t.Errorf("%d of %d targets were told in %d deltas", len(told)+len(first), len(targets), roundDeltas/3)
	}
}

// Some targets change wildly all the time; the others hardly, once.
func TestNoTargetStarves(t *testing.T) {
	targets := busyTargets(600)
	tell := newTeller(targets)
	held, last := maps.Clone(targets), make(map[int]int)
	for name, load := range targets {
		load.Capacity *= 1.01
		targets[name] = load
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 3 * roundDeltas {
		for id, name := range tell.names {
			if load := targets[name]; id%2 == 0 {
				load.Ready, load.Capacity = rng.IntN(2), rng.Float64()*1000
				targets[name] = load
			}
		}
		entries := tell.next(targets, 1, vectorBudget)
		apply(tell, held, entries)
		for _, e := range entries {
			last[e.id] = round
		}
		if round < roundDeltas {
			continue
		}
		for id := range tell.names {
			if ago := round - last[id]; ago > keptDeltas {
				t.Fatalf("target %d was told %d deltas ago", id, ago)
			}
		}
	}
}

func TestWhatRestsCostsNothingOnceTold(t *testing.T) {
	targets := busyTargets(100)
	tell := newTeller(targets)
	if entries := tell.next(targets, 1, vectorBudget); len(entries) > 0 {
		// What a whole report says is exact, an entry is rounded; the difference
		// alone is nothing to tell.
		t.Errorf("%d entries though nothing changed", len(entries))
	}
	load := targets["service-000"]
	load.Ready++
	targets["service-000"] = load
	told := 0
	for range 3 * roundDeltas {
		told += len(tell.next(targets, 1, vectorBudget))
	}
	if told < 3 || told > 12 {
		t.Errorf("the one that changed was told %d times in %d deltas: it must come up again, rarely", told, 3*roundDeltas)
	}
}

func TestPartsOfASumTellWhatOnlyTheSumShows(t *testing.T) {
	told := TargetLoad{Demand: [4]float64{0, 0, 0, 4}}
	now := TargetLoad{Demand: [4]float64{0, 0, 0, 8.5}}
	if change(told, now, 1) >= 1 {
		t.Error("a whole region's rise by 4.5 req/s is within the noise of 4")
	}
	if change(told, now, 5) < 1 {
		t.Error("five agents' rise by 4.5 req/s each is not within the noise of 20")
	}
}

func TestEntriesSayWhatTargetsAre(t *testing.T) {
	for _, want := range []TargetLoad{
		{}, fullTarget(),
		{Ready: maxCounter, InFlight: maxCounter, Capacity: maxRate, Demand: [4]float64{maxRate, maxRate, maxRate, maxRate}, Threshold: math.MaxUint16, QueueWait: maxReported},
		{Capacity: 0.01, Demand: [4]float64{0.001, 0.1, 1, 10}, QueueWait: time.Millisecond},
	} {
		entries, err := decodeEntries(encodeEntries([]entry{{3, want}, {4, want}, {900, want}}))
		if err != nil || len(entries) != 3 || entries[2].id != 900 || entries[1] != (entry{4, entries[0].load}) {
			t.Fatalf("%+v, %v", entries, err)
		}
		got := entries[0].load
		near := func(a, b, steps float64) bool { return math.Abs(a-b) <= max(0.001*b, steps) && (a == 0) == (b == 0) }
		fine := got.Ready == want.Ready && got.InFlight == want.InFlight && got.Threshold == want.Threshold &&
			near(got.Capacity, want.Capacity, 0.1*math.Sqrt(want.Capacity/capacityScale)+0.001) && near(got.QueueWait.Seconds()*1000, want.QueueWait.Seconds()*1000, 0.1*math.Sqrt(want.QueueWait.Seconds()*1000)+0.01)
		for c := range want.Demand {
			fine = fine && near(got.Demand[c], want.Demand[c], 0.1*math.Sqrt(want.Demand[c])+0.01)
		}
		if !fine || rounded(got) != got {
			t.Errorf("%+v became %+v", want, got)
		}
	}
}

func TestAbsurdAndTornEntriesAreRefused(t *testing.T) {
	one := func(bits uint64, codes ...uint64) []byte {
		b := protowire.AppendVarint(protowire.AppendVarint(nil, 0), bits)
		for _, code := range codes {
			b = protowire.AppendVarint(b, code)
		}
		return b
	}
	for bit := range entryBits {
		if _, err := decodeEntries(one(1<<bit, math.MaxUint64)); reasonOf(err) != dropAbsurd || !errors.Is(err, ErrFrame) {
			t.Errorf("number %d: %v", bit, err)
		}
	}
	for name, b := range map[string][]byte{
		"torn": {0, 1}, "id": protowire.AppendVarint(nil, MaxTargets), "huge id": protowire.AppendVarint(nil, math.MaxUint64), "form": one(1 << maxEntryBits),
	} {
		if _, err := decodeEntries(b); reasonOf(err) != dropMalformed || !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
	newer, err := decodeEntries(one(1|1<<20, 3, 99))
	if err != nil || newer[0].load.Ready != 3 {
		t.Errorf("a newer agent's entry: %+v, %v", newer, err)
	}
}

func FuzzEntries(f *testing.F) {
	f.Add(encodeEntries([]entry{{0, fullTarget()}, {7, TargetLoad{Ready: 1}}, {9_999, TargetLoad{}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := decodeEntries(b)
		if err != nil {
			return
		}
		again, err := decodeEntries(encodeEntries(entries))
		if err != nil || len(again) != len(entries) {
			t.Fatalf("does not survive: %v", err)
		}
		for i, e := range entries {
			if again[i] != e || math.IsNaN(e.load.Capacity) || e.load.Capacity > maxRate || e.load.QueueWait > maxReported {
				t.Errorf("%+v became %+v", e, again[i])
			}
		}
	})
}

func FuzzDelta(f *testing.F) {
	f.Add((&deltaFrame{Region: "eu-1", Version: Version{2, 9}, Table: 3, Previous: 8, Entries: []entry{{1, fullTarget()}}}).encode())
	f.Fuzz(func(t *testing.T, payload []byte) {
		d, err := decodeDelta(payload)
		if err != nil {
			return
		}
		if again, err := decodeDelta(d.encode()); err != nil || again.Version != d.Version || len(again.Entries) != len(d.Entries) {
			t.Errorf("does not survive: %+v, %v", d, err)
		}
	})
}

func FuzzLoadDelta(f *testing.F) {
	f.Add((&loadDelta{origin: origin{"a", 1, 9}, Table: 3, Draining: true, Entries: []entry{{1, fullTarget()}}}).encode())
	f.Fuzz(func(t *testing.T, payload []byte) {
		d, err := decodeLoadDelta(payload)
		if err != nil {
			return
		}
		if again, err := decodeLoadDelta(d.encode()); err != nil || again.origin != d.origin || len(again.Entries) != len(d.Entries) {
			t.Errorf("does not survive: %+v, %v", d, err)
		}
	})
}

func FuzzReportAsk(f *testing.F) {
	f.Add((&reportAsk{"a", "eu-1", Version{3, 4}}).encode())
	f.Fuzz(func(t *testing.T, payload []byte) {
		q, err := decodeReportAsk(payload)
		if err != nil {
			return
		}
		if again, err := decodeReportAsk(q.encode()); err != nil || again != q {
			t.Errorf("does not survive: %+v, %v", q, err)
		}
	})
}
