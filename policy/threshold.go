package policy

import (
	"math"
	"time"
)

// The threshold follows the share of arrivals for which there is no room
// (after Uber's Cinnamon: in, out and free slots). It lets in a little more than
// there is room for: the queue orders what is too much by rank, and never runs
// empty for want of luck.
const (
	admitSurplus   = 0.25                 // of the room, let in above it
	queueAim       = 5 * time.Millisecond // the queue that the controller aims at, as time that it takes to serve
	queueGain      = 0.025                // of the room, for a queue that is off by as much as the aim
	queueMostGain  = 0.15                 // of the room, that the queue moves at most
	shedMemory     = 500 * time.Millisecond
	surprise       = 4.0         // standard deviations of a window from the average: load stepped, follow at once
	criticalMemory = time.Second // after a critical was refused out of the queue, the threshold may rise into criticals
	leastArrivals  = 1.0         // a second; below nothing is shed
	inFlightLeast  = 0.5
	idleUpTo       = 0.5 // of the slots taken on average in the last window, and nobody waited: nothing is shed
)

// rejector finds the threshold. Not safe for concurrent use.
type rejector struct {
	in, out   float64       // messages per second
	freed     float64       // slots per second
	inFlight  float64       // average found by arrivals
	queued    float64       // the same
	share     float64       // of the arrivals to refuse
	latest    float64       // what arrivals of the last window found in flight or waiting
	critical  time.Duration // since a critical was refused out of the queue
	threshold Rank
	room      float64 // messages a second that may be let in
}

// tickCounts is what a window's counters say to the rejector.
type tickCounts struct {
	elapsed          time.Duration
	arrived, ended   float64 // messages
	freed            float64 // slots
	inFlight, queued float64 // averages found by arrivals; of the moment where there were none
	dropped          Rank    // highest rank refused out of the queue
	drops            bool
	starving         bool // critical ones were among them, or nearly
}

func (t *tickCounts) droppedCritical() bool {
	return t.drops && t.dropped.Class() == Critical && !t.dropped.OverQuota()
}

func (r *rejector) learn(t *tickCounts) {
	r.in = followed(r.in, t.arrived, t.elapsed)
	r.out = followed(r.out, t.ended, t.elapsed)
	r.freed = followed(r.freed, t.freed, t.elapsed)
	weight := weightOf(t.elapsed, shedMemory/2)
	r.inFlight += weight * (t.inFlight - r.inFlight)
	r.queued += weight * (t.queued - r.queued)
	r.latest = t.inFlight + t.queued
	r.critical = min(r.critical+t.elapsed, time.Hour)
	if t.droppedCritical() {
		r.critical = 0
	}
}

// followed is a moving average of a rate that jumps when chance does not explain
// what was counted.
func followed(rate, count float64, elapsed time.Duration) float64 {
	seen := count / elapsed.Seconds()
	expected := rate * elapsed.Seconds()
	if math.Abs(count-expected) > surprise*math.Sqrt(expected+1) {
		return seen
	}
	return smoothed(rate, seen, elapsed, shedMemory)
}

// carried is how many messages a slot takes in at a time.
func (r *rejector) carried() float64 {
	if r.freed <= 0 {
		return 1
	}
	return max(1, r.out/r.freed)
}

// potential is how many messages a second would end if every slot were taken, or
// how many more the free ones can take in although nothing ended yet: where each
// takes long, or has only just begun to come, the former says nothing.
func (r *rejector) potential(limit float64) float64 {
	free := max(0, limit-r.inFlight-r.queued)
	return max(r.out*max(1, limit/max(r.inFlight, inFlightLeast)), r.out+free*r.carried()/shedMemory.Seconds())
}

// decide sets share and threshold for what arrived lately and what is expected.
// A capacity says nothing against free slots, unless there is more to come.
func (r *rejector) decide(limit float64, ranks *rankMix, capacity float64) {
	room := r.potential(limit)
	if ranks.expectedRate() == 0 && r.latest <= idleUpTo*limit {
		r.room, r.threshold, r.share = room, 0, 0
		return
	}
	if full := r.latest >= bindingFrom*limit; capacity > 0 && (full || ranks.expectedRate() > 0) {
		room = min(room, max(capacity, r.out))
	}
	bare := room
	aim := max(1, room/r.carried()*queueAim.Seconds())
	correction := min(max(queueGain*(aim-r.queued)/aim, -queueMostGain), queueMostGain)
	room *= 1 + admitSurplus + correction
	r.room = room
	r.threshold, r.share = r.thresholdFor(ranks, room)
	if ranks.expectedRate() > 0 { // what is to come must not find the queue full
		threshold, share := r.thresholdFor(ranks, bare)
		r.threshold, r.share = max(r.threshold, threshold), max(r.share, share)
	}
}

func (r *rejector) thresholdFor(ranks *rankMix, room float64) (Rank, float64) {
	demand := r.in + ranks.expectedRate()
	if demand <= leastArrivals {
		return 0, 0
	}
	share := max(0, 1-room/demand)
	threshold := ranks.below(share, r.in)
	if r.critical > criticalMemory {
		threshold = min(threshold, RankOf(Critical, 0, true, false))
	}
	return threshold, share
}
