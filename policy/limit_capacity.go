package policy

import "time"

// knownCapacity is how many requests a second the service was seen to take from
// this agent while it was full. It holds while it is not, since then nothing new
// is learned of it.
type knownCapacity struct {
	rate  float64 // 0: never full
	usual float64 // ns: the baseline then
}

const (
	capacityMemory = time.Second
	fullFrom       = 1.05 // ratio from which the service, not the limit, holds up more
)

func (k *knownCapacity) learn(l *limiter, m *measurement, taken float64) {
	if taken < bindingFrom || m.elapsed <= 0 {
		return
	}
	rate := float64(m.ended) / m.elapsed.Seconds()
	full := l.confirmed >= fullFrom || m.refusedMuch()
	if k.rate == 0 && full {
		k.rate = rate
	}
	if wanted := m.shedding || m.refusedMuch(); (full && wanted) || (k.rate > 0 && rate > k.rate) {
		k.rate = smoothed(k.rate, rate, m.elapsed, capacityMemory)
		k.usual = l.base.usual(&m.latency)
	}
}

// now is the capacity at a baseline, 0 unknown.
func (k *knownCapacity) now(usual time.Duration) float64 {
	if k.usual <= 0 || usual <= 0 {
		return k.rate
	}
	return k.rate * k.usual / float64(usual)
}

func (k *knownCapacity) scaled(factor float64) { k.rate *= factor }
