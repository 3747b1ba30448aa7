package policy

import (
	"math"
	"time"
)

// SpillConfig sets how demand is spread over regions. A zero field takes its
// default. Shares of capacity are of what a region reports that it can serve.
type SpillConfig struct {
	Target float64 // spill fills regions up to this share of capacity; default 0.80
	Start  float64 // a region that serves more than this itself begins to spill; default 0.85
	Trim   float64 // one that spills already gives away more above this; default 0.82
	Return float64 // below this a region takes back what it gave away; default 0.70

	Ramp  time.Duration // from nothing to everything, for what returns; default 30 s
	Fresh time.Duration // headroom counts fully up to this age of the report, then ever less until ReportExpiry; default 2 s

	// Memory is over what time a region's demand ÷ capacity is smoothed before it
	// decides what the region keeps. Default 1 s.
	Memory time.Duration
	// Delay is how old the figures of a report are when it arrives, half the
	// round trip not included: agents report every 250 ms, leads sum them every
	// 250 ms. Default 500 ms.
	Delay time.Duration
	// Decay is the time in which the demand of a dead region stops being
	// expected when it does not show up; its first fifth counts fully. Default 10 s.
	Decay time.Duration
	// Unknown is what an instance of a region whose capacity is not known may be
	// given at least, in req/s. Default 10.
	Unknown float64
}

// DefaultSpillConfig returns the defaults.
func DefaultSpillConfig() SpillConfig { return SpillConfig{}.withDefaults() }

func (c SpillConfig) withDefaults() SpillConfig {
	orElse(&c.Target, 0.80)
	orElse(&c.Start, 0.85)
	orElse(&c.Trim, 0.82)
	orElse(&c.Return, 0.70)
	orElse(&c.Unknown, 10)
	orElse(&c.Ramp, 30*time.Second)
	orElse(&c.Memory, time.Second)
	orElse(&c.Fresh, 2*time.Second)
	orElse(&c.Delay, 500*time.Millisecond)
	orElse(&c.Decay, 10*time.Second)
	return c
}

func orElse[T float64 | time.Duration](field *T, value T) {
	if !(*field > 0) {
		*field = value
	}
}

// maxRate bounds what a report may say, in req/s: far above what is real, far
// below where sums lose precision.
const maxRate = 1e9

// sane reads a reported rate: what cannot be counts as nothing.
func sane(rate float64) float64 {
	if math.IsNaN(rate) || rate < 0 || math.IsInf(rate, 0) {
		return 0
	}
	return min(rate, maxRate)
}

// trust is the part of a region's headroom that a report of this age vouches for.
func (c *SpillConfig) trust(age time.Duration) float64 {
	if age <= c.Fresh {
		return 1
	}
	return max(0, float64(ReportExpiry-age)/float64(ReportExpiry-c.Fresh))
}
