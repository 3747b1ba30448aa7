package authhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidegate/tidegate/transport"
)

type metrics struct {
	requests *prometheus.CounterVec
	cached   *prometheus.CounterVec
	seconds  prometheus.Histogram

	acceptedNow, refusedNow, failed, busy prometheus.Counter // of requests
	acceptedThen, refusedThen             prometheus.Counter // of cached
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidegate_auth_hook_requests_total",
			Help: "Questions to the authentication hook by result: accepted, refused, failed (no answer that counts), busy (too many in flight, not asked).",
		}, []string{"result"}),
		cached: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidegate_auth_hook_cached_total",
			Help: "Devices that an earlier answer of the authentication hook was remembered for: accepted, refused.",
		}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "tidegate_auth_hook_seconds",
			Help:    "Time until the authentication hook answered, or failed to.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
	}
	m.acceptedNow, m.refusedNow = m.requests.WithLabelValues("accepted"), m.requests.WithLabelValues("refused")
	m.failed, m.busy = m.requests.WithLabelValues("failed"), m.requests.WithLabelValues("busy")
	m.acceptedThen, m.refusedThen = m.cached.WithLabelValues("accepted"), m.cached.WithLabelValues("refused")
	return m, transport.Register(reg, m.all()...)
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.cached, m.seconds}
}

func (m *metrics) unregister(reg prometheus.Registerer) { transport.Unregister(reg, m.all()...) }

func (m *metrics) asked(v verdict, err error, took time.Duration) {
	m.seconds.Observe(took.Seconds())
	switch {
	case err != nil:
		m.failed.Inc()
	case v.accepted():
		m.acceptedNow.Inc()
	default:
		m.refusedNow.Inc()
	}
}

func (m *metrics) remembered(v verdict) {
	if v.accepted() {
		m.acceptedThen.Inc()
	} else {
		m.refusedThen.Inc()
	}
}
