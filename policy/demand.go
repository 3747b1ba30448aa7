package policy

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const rateMemory = time.Second // time constant of moving averages of rates

// Demand measures what devices of this region ask of a service, by class, before
// anything is decided. The zero value has seen nothing. Safe for concurrent use;
// Count neither locks nor allocates.
type Demand struct {
	counts [int(Critical) + 1]atomic.Uint64 // since the last tick
	rates  [int(Critical) + 1]atomic.Uint64 // float64 bits, per second

	mu     sync.Mutex
	ticked time.Time // guarded by mu
}

// Count counts a request of class c.
func (d *Demand) Count(c Class) { d.counts[min(c, Critical)].Add(1) }

// Tick works the requests since the last one into the averages. Its owner calls
// it every 100 ms or so.
func (d *Demand) Tick(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ticked.IsZero() || now.Before(d.ticked) {
		d.ticked = now
		return
	}
	elapsed := now.Sub(d.ticked)
	if elapsed <= 0 {
		return
	}
	d.ticked = now
	for c := range d.counts {
		rate := math.Float64frombits(d.rates[c].Load())
		seen := float64(d.counts[c].Swap(0)) / elapsed.Seconds()
		d.rates[c].Store(math.Float64bits(smoothed(rate, seen, elapsed, rateMemory)))
	}
}

// Rates returns requests a second by class: moving averages over about a second.
func (d *Demand) Rates() [int(Critical) + 1]float64 {
	var rates [int(Critical) + 1]float64
	for c := range rates {
		rates[c] = math.Float64frombits(d.rates[c].Load())
	}
	return rates
}

// smoothed moves an average towards what was seen over elapsed. It reaches an
// average that is not yet moving to zero by dropping the last thousandth.
func smoothed(average, seen float64, elapsed, memory time.Duration) float64 {
	average += (seen - average) * -math.Expm1(-float64(elapsed)/float64(memory))
	if average < 1e-3 {
		return 0
	}
	return average
}
