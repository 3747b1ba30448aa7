package policy

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	latencyMemory  = time.Second // a sample this long after the one before weighs half
	latencyStep    = 0.02        // weight of a sample at least, however soon it follows
	latencyCeiling = time.Minute
	failurePenalty = time.Second // failures alone lift the average no higher
)

// latencyAverage is a moving average in nanoseconds weighted by time. Both halves of
// one word: the average as float32, and when it was updated.
type latencyAverage struct{ word atomic.Uint64 }

// stamp is in milliseconds and wraps after 49 days.
type stamp uint32

func stampOf(at int64) stamp { return stamp(at / int64(time.Millisecond)) }

func (s stamp) until(at int64) time.Duration {
	return max(0, time.Duration(int32(stampOf(at)-s))*time.Millisecond)
}

func (l *latencyAverage) load() (average float32, updated stamp) {
	return unpackLatency(l.word.Load())
}

func unpackLatency(word uint64) (average float32, updated stamp) {
	return math.Float32frombits(uint32(word >> 32)), stamp(word)
}

func (l *latencyAverage) reset() { l.word.Store(0) }

// learn adds a sample. A failure counts as twice the average, so that an
// instance that fails fast does not look like the fastest; of one that only
// ever failed there is no latency to speak of.
func (l *latencyAverage) learn(at int64, took time.Duration, ok bool) {
	for {
		old := l.word.Load()
		average, updated := unpackLatency(old)
		if average == 0 && !ok {
			return
		}
		sample := float32(min(max(took, time.Microsecond), latencyCeiling))
		if !ok {
			sample = max(sample, average, min(2*average, float32(failurePenalty)))
		}
		if average > 0 {
			gap := float32(updated.until(at))
			weight := max(latencyStep, gap/(gap+float32(latencyMemory)))
			sample = average + weight*(sample-average)
		}
		word := uint64(math.Float32bits(sample))<<32 | uint64(stampOf(at))
		if l.word.CompareAndSwap(old, word) {
			return
		}
	}
}

// faded is what an average still says after idle: a quarter after latencyMemory,
// a hundredth after nine times that.
func faded(average float32, idle time.Duration) float32 {
	keep := float32(latencyMemory) / float32(latencyMemory+idle)
	return average * keep * keep
}
