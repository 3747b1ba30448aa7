package policy

import "time"

const (
	maxRTTExcess  = 250 * time.Millisecond
	rttFloorKept  = 30 * time.Second // the smallest round trip is that of one to two of these
	steadyMinimum = 2 * time.Millisecond
)

// peerRTT smooths the round trips to one peer: a moving average with gain 1/8,
// as TCP's (RFC 6298), and the smallest of the last minute.
type peerRTT struct {
	smoothed time.Duration
	floor    [2]time.Duration // of the window before, of this one
	turned   time.Time        // begin of this window
}

func (p *peerRTT) measure(rtt time.Duration, now time.Time) {
	if p.smoothed == 0 {
		p.smoothed, p.floor, p.turned = rtt, [2]time.Duration{rtt, rtt}, now
		return
	}
	p.smoothed += (rtt - p.smoothed) / 8
	if now.Sub(p.turned) >= rttFloorKept {
		p.floor, p.turned = [2]time.Duration{p.floor[1], rtt}, now
	}
	p.floor[1] = min(p.floor[1], rtt)
}

func (p *peerRTT) excess() time.Duration {
	above := p.smoothed - min(p.floor[0], p.floor[1])
	return min(maxRTTExcess, 4*max(0, above))
}

func (r *pulse) excess() time.Duration {
	var worst time.Duration
	for _, p := range r.peers {
		worst = max(worst, p.excess())
	}
	return worst
}

func (r *pulse) nearest() time.Duration {
	var best time.Duration
	for _, p := range r.peers {
		if p.smoothed > 0 && (best == 0 || p.smoothed < best) {
			best = p.smoothed
		}
	}
	return best
}

// SteadyRTT follows a measured round-trip time in steps, so that the order of
// regions does not change with every probe. The zero value has seen nothing.
// Not safe for concurrent use.
type SteadyRTT struct{ value time.Duration }

// Follow takes the newest smoothed measurement and returns the steady value: it
// moves only when the measurement is off by a quarter, and by 2 ms at least.
func (s *SteadyRTT) Follow(measured time.Duration) time.Duration {
	off := (measured - s.value).Abs()
	if s.value == 0 || off > max(steadyMinimum, s.value/4) {
		s.value = measured
	}
	return s.value
}
