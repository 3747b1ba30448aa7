package policy

import "time"

// Passive outlier ejection: an instance that fails while others do not is kept
// out for a while. The figures are those that Envoy's outlier detection made
// customary.
const (
	ejectAfterFailures = 5                // in a row
	ejectBase          = 10 * time.Second // doubles with every ejection not yet forgiven
	ejectCeiling       = 5 * time.Minute
	ejectPercent       = 10 // of the ready instances, rounded down, but one may always be

	// Or, when it fails rarely enough to answer in between: within a window, so
	// many requests, of which half failed, and twice the share of the others.
	rateWindow   = 10 * time.Second
	rateRequests = 20

	slowStartFloor = 0.1 // of its draws, for an instance that has just begun
)

// judge counts an outcome and ejects the instance when it stands out.
func (h *health) judge(at int64, outcome Outcome) {
	switch outcome {
	case OutcomeOK:
		if h.failures.Load() != 0 {
			h.failures.Store(0)
		}
		h.count(at, 0)
	case OutcomeFailed:
		row := h.failures.Add(1)
		total, failed := h.count(at, 1)
		if row%ejectAfterFailures == 0 {
			h.service.eject(h, at)
		} else if total >= rateRequests && failed*2 >= total && h.service.standsOut(h, at, total, failed) {
			h.service.eject(h, at)
		}
	}
}

// count adds to the requests of the current window. One word holds the number
// of the window (16 bits), its requests and its failures (24 bits each).
func (h *health) count(at int64, failures uint64) (total, failed uint64) {
	number := windowNumber(at)
	for {
		old := h.window.Load()
		total, failed = readWindow(old, number)
		total, failed = min(total+1, windowMax), min(failed+failures, windowMax)
		if h.window.CompareAndSwap(old, number<<48|total<<24|failed) {
			return total, failed
		}
	}
}

const windowMax = 1<<24 - 1

func windowNumber(at int64) uint64 { return uint64(at/int64(rateWindow)) & 0xffff }

func readWindow(word, number uint64) (total, failed uint64) {
	if word>>48 != number {
		return 0, 0
	}
	return word >> 24 & windowMax, word & windowMax
}

// standsOut says that the others together fail at most half as often.
func (s *serviceHealth) standsOut(h *health, at int64, total, failed uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var othersTotal, othersFailed uint64
	for _, o := range s.ready {
		if o != h {
			t, f := readWindow(o.window.Load(), windowNumber(at))
			othersTotal, othersFailed = othersTotal+t, othersFailed+f
		}
	}
	return othersFailed*2*total <= failed*othersTotal
}

// eject keeps the instance out, unless it is out already, is not among the
// ready ones, or too many are out.
func (s *serviceHealth) eject(h *health, at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	member, out := false, 0
	for _, o := range s.ready {
		member = member || o == h
		if o.backAt.Load() > at {
			out++
		}
	}
	if !member || h.backAt.Load() > at || out >= s.mayBeOut() {
		return
	}
	h.forgive(at)
	h.backAt.Store(at + int64(h.sentence()))
	h.strikes++
	h.failures.Store(0)
	h.window.Store(0)
	h.latency.reset()
}

func (s *serviceHealth) mayBeOut() int {
	if len(s.ready) < 2 {
		return 0
	}
	return max(1, len(s.ready)*ejectPercent/100)
}

// forgive takes back one strike for each ejectBase since the return.
func (h *health) forgive(at int64) {
	h.strikes = max(0, h.strikes-int((at-h.backAt.Load())/int64(ejectBase)))
}

func (h *health) sentence() time.Duration {
	const doublings = 5 // reach the ceiling
	return min(ejectCeiling, ejectBase<<min(h.strikes, doublings))
}

// recovered begins the slow start of an instance that passes its checks again.
func (s *serviceHealth) recovered(h *health, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.since(now)
	h.failures.Store(0)
	h.latency.reset()
	if h.backAt.Load() < at {
		h.backAt.Store(at)
	}
}
