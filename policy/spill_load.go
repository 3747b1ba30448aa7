package policy

import (
	"math"
	"time"
)

// spillLoad is what one region reports of one service, and what is remembered
// of it between views.
type spillLoad struct {
	capacity float64 // req/s; 0: not known
	demand   float64 // of all classes
	classes  [4]float64
	ready    int

	use    float64 // demand ÷ capacity, smoothed over SpillConfig.Memory; 0: not known
	hold   hold
	lost   bool      // it served once and does not now
	served bool      // it served at the Update before
	backAt time.Time // since when it serves again; zero: its return is complete
	given  float64   // spill that it got by its newest report, req/s
	inflow float64   // spill that it gets now
	ghost  float64   // of a dead region: demand still expected to come elsewhere
	others float64   // demand of the living when it died
	mourns bool      // others is set
}

const leastCapacity = 1e-3 // req/s: less says nothing

// read takes over a report and says whether it differs.
func (l *spillLoad) read(from Load, ready int) bool {
	classes, demand := [4]float64{}, 0.0
	for c, rate := range from.Demand {
		classes[c] = sane(rate)
		demand += classes[c]
	}
	capacity := sane(from.Capacity)
	if capacity < leastCapacity {
		capacity = 0
	}
	ready = max(0, ready)
	if l.capacity == capacity && l.classes == classes && l.ready == ready {
		return false
	}
	l.capacity, l.classes, l.demand, l.ready = capacity, classes, demand, ready
	return true
}

// learn smooths demand ÷ capacity at each report and says whether it moved: else
// what a region keeps would follow the extremes of what it is told. What is more
// than the noise of independent arrivals can be (their rate over a second has a
// standard deviation of about 1/√rate) is believed at once.
func (l *spillLoad) learn(interval, memory time.Duration) bool {
	was, now := l.use, 0.0
	if l.capacity > 0 {
		now = l.demand / l.capacity
	}
	off := math.Abs(now - was)
	if was == 0 || now == 0 || off > now*(0.05+3/math.Sqrt(l.demand)) || off < 1e-6 {
		l.use = now
	} else {
		l.use += (now - was) * float64(interval) / float64(interval+memory)
	}
	return l.use != was
}

// serves follows whether the region serves its own demand. One that stops and
// begins again comes back by the ramp. What was dead knows of no ramp for its
// own demand: either it never stopped, or it begins anew.
func (l *spillLoad) serves(yes, dead bool, now time.Time, ramp time.Duration) {
	switch {
	case !yes && l.served:
		l.lost, l.backAt = true, time.Time{}
		l.hold = hold{spilling: true}
		if dead {
			l.hold = hold{share: 1}
		}
	case yes && l.lost:
		l.lost, l.backAt = false, now
	case now.Sub(l.backAt) >= ramp:
		l.backAt = time.Time{}
	}
	l.served = yes
}

// returned is the part of its capacity that others may use, below 1 after a
// return.
func (l *spillLoad) returned(now time.Time, ramp time.Duration) float64 {
	if l.backAt.IsZero() {
		return 1
	}
	return min(1, max(0.05, float64(now.Sub(l.backAt))/float64(ramp)))
}

// hold decides how much of its own demand a region keeps. Between Return and
// Trim of its capacity it moves nothing, so that it neither flaps nor follows
// noise. The zero value keeps nothing.
type hold struct {
	share    float64 // of its demand that it keeps
	spilling bool
	trend    holdTrend
}

type holdTrend uint8

const (
	steady    holdTrend = iota
	trimming            // gives more away until what it keeps is at Target
	returning           // takes back until what it keeps is at Target
)

// step follows demand ÷ capacity (0 when the capacity is not known). What
// returns does so over cfg.Ramp.
func (h *hold) step(cfg *SpillConfig, use float64, passed time.Duration) {
	want := 1.0
	if use > cfg.Target {
		want = cfg.Target / use
	}
	switch kept := h.share * use; {
	case kept > cfg.Start, h.spilling && kept > cfg.Trim:
		h.spilling, h.trend = true, trimming
	case h.spilling && kept < cfg.Return:
		h.trend = returning
	}
	switch h.trend {
	case trimming:
		if want > h.share {
			h.trend = steady
		}
		h.share = min(h.share, want)
	case returning:
		h.share = max(h.share, min(want, h.share+float64(passed)/float64(cfg.Ramp)))
		if h.share >= want {
			h.trend = steady
		}
	}
	h.spilling = h.share < 1
}
