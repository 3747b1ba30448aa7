package policy

import (
	"sync/atomic"
	"time"
)

const recentArrivals = 1024

// meter counts what happens between ticks. Lock-free.
type meter struct {
	arrivals [rankBands]atomic.Uint64
	found    atomic.Uint64 // sum of what arrivals found in flight
	next     atomic.Uint32
	recent   [recentArrivals]atomic.Uint32 // ranks plus one, 0: not yet
	admitted atomic.Uint64

	ended   atomic.Uint64
	refused atomic.Uint64
	latency [int(Critical) + 1]latencySum
	after   atomic.Int64 // samples of requests that began before say nothing
}

type latencySum struct{ count, sum atomic.Int64 }

func (m *meter) arrived(rank Rank, inFlight int64) {
	m.arrivals[rank.band()].Add(1)
	m.found.Add(uint64(inFlight))
	m.recent[m.next.Add(1)%recentArrivals].Store(uint32(rank) + 1)
}

func (m *meter) left(at time.Duration, s Sample) {
	m.ended.Add(1)
	switch s.Outcome {
	case OutcomeRefused:
		m.refused.Add(1)
	case OutcomeOK:
		took := min(max(s.Latency, 0), latencyCeiling)
		if at-took >= time.Duration(m.after.Load()) {
			sum := &m.latency[min(s.Class, Critical)]
			sum.count.Add(1)
			sum.sum.Add(int64(took))
		}
	}
}
