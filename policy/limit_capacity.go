package policy

import "time"

// knownCapacity is how many messages a second the service was seen to take from
// this agent while it was full. It holds while it is not, since then nothing new
// is learned of it; but where a slot carries more messages than then, more get
// through.
type knownCapacity struct {
	rate    float64 // 0: never full
	usual   float64 // ns: the baseline then
	carried float64 // messages a slot then
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
		k.usual, k.carried = l.base.usual(&m.latency), m.carried()
	}
}

// now is the capacity at a baseline, with so many messages a slot; 0 unknown.
func (k *knownCapacity) now(usual time.Duration, carried float64) float64 {
	if k.usual <= 0 || usual <= 0 {
		return k.rate
	}
	return k.rate * k.usual / float64(usual) * max(1, carried/k.carried)
}

// carried is how many messages a slot took in.
func (m *measurement) carried() float64 {
	return max(1, float64(m.ended+m.refused)/float64(max(1, m.freed)))
}

func (k *knownCapacity) scaled(factor float64) { k.rate *= factor }
