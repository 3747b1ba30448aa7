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
	queued   atomic.Uint64 // the same of the queue
	shed     atomic.Uint64
	next     atomic.Uint32
	recent   [recentArrivals]atomic.Uint32 // ranks plus one, 0: not yet

	ended   atomic.Uint64 // messages
	freed   atomic.Uint64 // slots
	refused atomic.Uint64 // messages
	latency [int(Critical) + 1]latencySum
	overdue latencySum
	after   atomic.Int64 // samples of requests that began before say nothing
}

type latencySum struct{ count, sum atomic.Int64 }

func (m *meter) arrived(rank Rank, messages int, inFlight, queued int64) {
	n := uint64(messages)
	m.arrivals[rank.band()].Add(n)
	m.found.Add(uint64(inFlight) * n)
	if queued > 0 {
		m.queued.Add(uint64(queued) * n)
	}
	for range min(messages, recentArrivals) {
		m.recent[m.next.Add(1)%recentArrivals].Store(uint32(rank) + 1)
	}
}

func (m *meter) left(at time.Duration, s Sample) {
	n := uint64(max(1, s.Messages))
	m.ended.Add(n)
	m.freed.Add(1)
	switch s.Outcome {
	case OutcomeRefused:
		m.refused.Add(n)
	case OutcomeOK:
		m.took(at, s.Latency, &m.latency[min(s.Class, Critical)])
	case OutcomeAbandoned:
		if s.Latency > 0 {
			m.took(at, s.Latency, &m.overdue)
		}
	}
}

func (m *meter) took(at, latency time.Duration, sum *latencySum) {
	latency = min(max(latency, 0), latencyCeiling)
	if at-latency >= time.Duration(m.after.Load()) {
		sum.count.Add(1)
		sum.sum.Add(int64(latency))
	}
}

// window is what the meter counted since it was last read.
type window struct {
	arrivals      [rankBands]uint64
	found, queued uint64
	shed          uint64
	ended         int64
	freed         int64
	refused       int64
	latency       latencySums
	overdue       givenUp
}

func (m *meter) read() (w window) {
	for band := range m.arrivals {
		w.arrivals[band] = m.arrivals[band].Swap(0)
	}
	w.found, w.queued = m.found.Swap(0), m.queued.Swap(0)
	w.shed = m.shed.Swap(0)
	w.ended, w.freed, w.refused = int64(m.ended.Swap(0)), int64(m.freed.Swap(0)), int64(m.refused.Swap(0))
	for c := range m.latency {
		w.latency[c].count = m.latency[c].count.Swap(0)
		w.latency[c].sum = time.Duration(m.latency[c].sum.Swap(0))
	}
	w.overdue = givenUp{m.overdue.count.Swap(0), time.Duration(m.overdue.sum.Swap(0))}
	return w
}

func (w *window) arrived() (n uint64) {
	for _, count := range w.arrivals {
		n += count
	}
	return n
}
