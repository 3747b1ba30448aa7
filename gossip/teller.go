package gossip

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"
)

// Whole reports name every target; the deltas between them say only what
// changed, by numbers into the last whole report's sorted names. A target's
// entry says all of it, not the difference: a lost delta harms nothing else, and
// later ones may come first.

const (
	// roundDeltas is within how many deltas every target that is not as the
	// whole report said comes up again, so that whoever holds that report and
	// as many deltas holds all.
	roundDeltas = 60
	// keptDeltas are handed to those who missed them.
	keptDeltas = 64
)

// budget is how much a delta may say, in bytes of entries.
type budget struct {
	urgent int // of targets that changed
	calm   int // when only those are left that hardly did
}

var (
	vectorBudget = budget{urgent: 205, calm: 96}
	loadBudget   = budget{urgent: 240, calm: 96} // half of it when loads come twice as often
)

const (
	leastRoom   = 40    // bytes: some six targets
	emptyDelta  = 150   // bytes: a delta without entries, with its part of a datagram's overhead
	relayedEach = 4_000 // bytes of one delta of each region: every 600 ms and both ways they are 13 kB/s
)

func (b budget) half() budget { return budget{b.urgent / 2, b.calm / 2} }

// atMost so many bytes, but at least leastRoom.
func (b budget) atMost(bytes int) budget {
	bytes = max(bytes, leastRoom)
	return budget{min(b.urgent, bytes), min(b.calm, bytes)}
}

// among so many agents there is less room in a load: all come to the same three.
func (b budget) among(agents int) budget {
	if agents <= relayAbove {
		return b
	}
	return b.atMost(b.urgent * relayAbove / agents)
}

// relayedTo so many agents, as the largest of so many regions has, there is less room
// in a vector: where deltas are relayed every agent gets them all and sends them all
// once more.
func (b budget) relayedTo(agents, regions int) budget {
	if agents <= relayAbove {
		return b
	}
	return b.atMost(relayedEach/max(regions, 1) - emptyDelta)
}

// teller knows what was told of each target and picks what to tell next.
type teller struct {
	names []string // by number
	whole []TargetLoad
	told  []TargetLoad
	when  []uint64 // the delta that told it last
	count uint64   // deltas so far
}

// entry is what a delta says of one target.
type entry struct {
	id   int
	load TargetLoad
}

// newTeller begins with a whole report.
func newTeller(targets map[string]TargetLoad) *teller {
	t := &teller{names: slices.Sorted(maps.Keys(targets))}
	t.whole = make([]TargetLoad, len(t.names))
	for id, name := range t.names {
		t.whole[id] = targets[name]
	}
	for _, load := range t.whole {
		t.told = append(t.told, rounded(load))
	}
	t.when = make([]uint64, len(t.names))
	return t
}

// covers says whether these are the targets it has numbers for.
func (t *teller) covers(targets map[string]TargetLoad) bool {
	if len(targets) != len(t.names) {
		return false
	}
	for _, name := range t.names {
		if _, ok := targets[name]; !ok {
			return false
		}
	}
	return true
}

// next picks the entries of the next delta: first what differs most from what was
// told, for longest. Nothing starves: what little there is adds up, and what was
// not told for three quarters of roundDeltas goes before all else. The targets
// are one of so many parts of what others add up.
func (t *teller) next(targets map[string]TargetLoad, parts int, room budget) []entry {
	t.count++
	type candidate struct {
		entry
		score float64
	}
	var due []candidate
	for id, name := range t.names {
		now, ok := targets[name]
		if !ok {
			now = TargetLoad{} // gone; the next whole report leaves it out
		}
		now = rounded(now)
		waited := t.count - t.when[id]
		overdue := waited >= roundDeltas*3/4
		if now == t.told[id] && (!overdue || now == rounded(t.whole[id])) {
			continue
		}
		score := change(t.told[id], now, parts) * float64(waited)
		if overdue {
			score += 1e6 // more than any change
		}
		due = append(due, candidate{entry{id, now}, score})
	}
	slices.SortFunc(due, func(x, y candidate) int { return cmp.Or(cmp.Compare(y.score, x.score), cmp.Compare(x.id, y.id)) })
	least := len(t.names) / roundDeltas
	var picked []entry
	size := 0
	for _, c := range due {
		limit := room.calm
		if c.score >= 1 {
			limit = room.urgent
		}
		if size += len(appendEntry(nil, 0, c.entry)); size > limit && len(picked) > least {
			break
		}
		picked = append(picked, c.entry)
		t.told[c.id], t.when[c.id] = c.load, t.count
	}
	slices.SortFunc(picked, func(x, y entry) int { return cmp.Compare(x.id, y.id) })
	return picked
}

// change says how much a target differs from what was told: 1 and more is worth
// telling soon. Counts of requests, and rates averaged over a second, vary by
// the root of themselves with nothing having happened. What is one of several
// parts of a sum tells less than the sum does: its own noise is larger, but all
// of them may have changed together.
func change(told, now TargetLoad, parts int) float64 {
	most := 0.0
	if told.Ready != now.Ready {
		most = 4
	}
	if (told.Ready == 0) != (now.Ready == 0) {
		most = 100
	}
	share := 1 / float64(max(parts, 1))
	noise := func(n float64) float64 { return math.Sqrt(n * share) }
	most = max(most,
		moved(told.Capacity, now.Capacity, 0),
		moved(float64(told.InFlight), float64(now.InFlight), 5*share+5*noise(float64(told.InFlight))),
		math.Abs(float64(told.Threshold)-float64(now.Threshold))/128,
		moved(told.QueueWait.Seconds()*1000, now.QueueWait.Seconds()*1000, 20))
	for c := range told.Demand {
		most = max(most, moved(told.Demand[c], now.Demand[c], 0.5*share+3*noise(told.Demand[c])))
	}
	if (told.Threshold == 0) != (now.Threshold == 0) {
		most = max(most, 2)
	}
	return most
}

// moved is the difference in units of what is worth telling: a twentieth of the
// value and a tolerance.
func moved(told, now, tolerance float64) float64 {
	unit := 0.05*max(told, now) + tolerance
	if unit == 0 {
		return 0
	}
	return math.Abs(now-told) / unit
}

// rttsMoved says whether distances changed enough to be told again.
func rttsMoved(told, now map[string]time.Duration) bool {
	if len(told) != len(now) {
		return true
	}
	for region, rtt := range now {
		was, ok := told[region]
		if !ok || moved(float64(was), float64(rtt), float64(2*time.Millisecond)) > 4 {
			return true
		}
	}
	return false
}
