package device

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// place is an endpoint and what is known of it.
type place struct {
	Endpoint
	rtt      time.Duration // 0: unknown
	avoid    time.Time     // tried after the others until then
	failures int           // in a row
}

// What a round trip to an unknown place is taken for when it is ranked.
const unknownRTT = 100 * time.Millisecond

// How long a place that failed is tried after the others: between half of it
// and all of it, doubled with each failure.
const (
	avoidLeast = 10 * time.Second
	avoidMost  = 5 * time.Minute
)

// failed notes that a place did not serve.
func (p *place) failed(now time.Time) {
	d := min(avoidLeast<<min(p.failures, 10), avoidMost)
	p.failures++
	p.avoid = now.Add(d/2 + rand.N(d/2))
}

func (p *place) worked(rtt time.Duration) {
	p.failures, p.avoid = 0, time.Time{}
	p.measured(rtt)
}

func (p *place) measured(rtt time.Duration) {
	if rtt > 0 {
		p.rtt = rtt
	}
}

// region is the region's name, or that of the place where it has none.
func (p *place) region() string { return cmp.Or(p.Region, p.Addr) }

type places []*place

func newPlaces(endpoints []Endpoint) places {
	all := make(places, len(endpoints))
	for i, e := range endpoints {
		all[i] = &place{Endpoint: e}
	}
	return all
}

// ranked orders the places for a connection: those to avoid last, else the
// nearest first, and regions by turns, so that the loss of a region costs one
// attempt. Ties are decided by lot.
func (all places) ranked(now time.Time) places {
	left := slices.Clone(all)
	rand.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
	regions := left.regionRTTs()
	slices.SortStableFunc(left, func(a, b *place) int {
		return cmp.Or(
			a.avoided(now).Compare(b.avoided(now)),
			cmp.Compare(cmp.Or(a.rtt, regions[a.region()], unknownRTT), cmp.Or(b.rtt, regions[b.region()], unknownRTT)))
	})
	return left.byTurns(now)
}

// avoided is until when a place is avoided; zero: it is not.
func (p *place) avoided(now time.Time) time.Time {
	if p.avoid.After(now) {
		return p.avoid
	}
	return time.Time{}
}

// regionRTTs are the least known round trips of regions, for places that were
// never tried.
func (all places) regionRTTs() map[string]time.Duration {
	least := map[string]time.Duration{}
	for _, p := range all {
		if known := least[p.region()]; p.rtt > 0 && (known == 0 || p.rtt < known) {
			least[p.region()] = p.rtt
		}
	}
	return least
}

// byTurns takes from regions by turns, without letting a place that is avoided
// before one that is not.
func (all places) byTurns(now time.Time) places {
	turn := map[*place]int{}
	taken := map[string]int{}
	for _, p := range all {
		turn[p] = taken[p.region()]
		taken[p.region()]++
	}
	slices.SortStableFunc(all, func(a, b *place) int {
		return cmp.Or(compareBool(!a.avoided(now).IsZero(), !b.avoided(now).IsZero()), cmp.Compare(turn[a], turn[b]))
	})
	return all
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// nearer is the best place that is worth leaving another one for: its region is
// another one, or unknown, and its round trip is a fifth and 5 ms shorter.
func (all places) nearer(than *place, now time.Time) *place {
	for _, p := range all.ranked(now) {
		if p == than || !p.avoided(now).IsZero() {
			continue
		}
		if worthMoving(p.rtt, than.rtt) {
			return p
		}
	}
	return nil
}

func worthMoving(to, from time.Duration) bool {
	return from > 0 && to < from*4/5 && from-to > 5*time.Millisecond
}

// referred finds the places that a server reference names (MQTT 5.0, section
// 4.11), known ones as they are. At most four count.
func (all places) referred(reference string) places {
	var found places
	for addr := range strings.FieldsFuncSeq(reference, func(r rune) bool { return r == ',' || r == ' ' }) {
		if len(found) == 4 {
			break
		}
		if !validAddr(addr) {
			continue
		}
		i := slices.IndexFunc(all, func(p *place) bool { return p.Addr == addr })
		if i < 0 {
			found = append(found, &place{Endpoint: Endpoint{Addr: addr}})
			continue
		}
		found = append(found, all[i])
	}
	return found
}

// wire is a way to a place.
type wire string

const (
	udp wire = "quic"
	tcp wire = "tcp"
)

// attempt is one way to one place, to be begun some time after the first one,
// or as soon as another one has failed.
type attempt struct {
	place *place
	wire  wire
	after time.Duration
}

// placesMost bounds the places tried in one round.
const placesMost = 8

// By how many staggers QUIC is ahead of TCP to the same place: fewer where no
// UDP has been seen to get through.
const (
	tcpPatience       = 3
	tcpPatienceForUDP = 8
)

// ways are what may be tried to reach a place.
type ways struct {
	udp, tcp bool
	patience int // staggers
}

// itinerary lists attempts in the order of their beginning. together: so many
// places at once.
func itinerary(ranked places, together int, stagger time.Duration, w ways) []attempt {
	var list []attempt
	for i, p := range ranked[:min(len(ranked), placesMost)] {
		after := time.Duration(max(0, i-together+1)) * stagger
		if w.udp {
			list = append(list, attempt{p, udp, after})
			after += time.Duration(w.patience) * stagger
		}
		if w.tcp {
			list = append(list, attempt{p, tcp, after})
		}
	}
	slices.SortStableFunc(list, func(a, b attempt) int { return cmp.Compare(a.after, b.after) })
	return list
}

// fullJitter is a random time up to a bound that doubles with each attempt
// ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
func fullJitter(attempt int, base, most time.Duration) time.Duration {
	bound := most
	if attempt < 30 && base<<attempt < most && base<<attempt > 0 {
		bound = base << attempt
	}
	return rand.N(bound + 1)
}

// around is a time between half as much and half as much again.
func around(d time.Duration) time.Duration { return d/2 + rand.N(d+1) }

// sleep returns false when the context ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// shorter takes zero as any.
func shorter(a, b time.Duration) time.Duration {
	if b > 0 && b < a {
		return b
	}
	return a
}

func ended(err error) bool { return errors.Is(err, context.Canceled) }
