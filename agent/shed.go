package agent

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidegate/tidegate/policy"
)

// shedReasons bounds the labels of what is shed: a far agent's words too.
var shedReasons = [...]string{policy.ShedOverload.String(), policy.ShedQueueFull.String(), policy.ShedDisplaced.String(),
	policy.ShedDeadline.String(), policy.ShedExpired.String()}

// shedIndex finds a reason, -1 for what is none.
func shedIndex(reason string) int {
	for i, known := range shedReasons {
		if known == reason {
			return i
		}
	}
	return -1
}

// shedCounters keeps the counters of a target by class and reason, each bound
// to the cause that was last seen, so that refusing looks no labels up.
type shedCounters [policy.Critical + 1][len(shedReasons)]atomic.Pointer[boundShed]

type boundShed struct {
	cause   string
	counter prometheus.Counter
}

func (s *shedCounters) count(vec *prometheus.CounterVec, target string, class policy.Class, reason, cause string) {
	bound := &s[min(class, policy.Critical)][max(0, shedIndex(reason))]
	b := bound.Load()
	if b == nil || b.cause != cause {
		b = &boundShed{cause, vec.WithLabelValues(target, class.String(), reason, cause)}
		bound.Store(b)
	}
	b.counter.Inc()
}
