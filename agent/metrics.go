package agent

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidegate/tidegate/policy"
)

// metrics are the agent's own series. Requests are counted through handles
// that are bound once per (route, region, outcome), so that the hot path does
// not look labels up.
type metrics struct {
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	retries  *prometheus.CounterVec
	served   *prometheus.CounterVec
	failed   prometheus.Counter
	audited  *prometheus.CounterVec
	policies *prometheus.CounterVec
	policyOK prometheus.Gauge
	views    prometheus.Counter
	plans    *prometheus.CounterVec
	shed     *prometheus.CounterVec
	timeouts *prometheus.CounterVec
	commands *prometheus.CounterVec
	batches  *batchMetrics

	bound       sync.Map   // boundKey → *boundSeries
	boundServed sync.Map   // servedKey → prometheus.Counter
	binding     sync.Mutex // held while series are bound or forgotten, so that none is bound that is gone
}

type servedKey struct{ origin, outcome string }

type boundKey struct {
	route   string
	class   policy.Class
	region  string
	outcome string
}

type boundSeries struct {
	requests prometheus.Counter
	latency  prometheus.Observer
}

const planChangesName = "tidegate_plan_changes_total"

// latencyBuckets, in seconds, are fine where a local service answers and reach
// past the default timeout.
var latencyBuckets = []float64{.001, .0025, .005, .01, .02, .04, .08, .15, .3, .6, 1, 2, 5, 10, 30}

func newMetrics(reg prometheus.Registerer, active *atomic.Int64) *metrics {
	m := &metrics{
		requests: counters("tidegate_requests_total",
			"Messages by route, class, region that served them, and outcome.", "route", "class", "region", "outcome"),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "tidegate_request_seconds",
			Help:    "Time from a message's headers to the end of its answer, by route, class and serving region.",
			Buckets: latencyBuckets,
		}, []string{"route", "class", "region"}),
		retries: counters("tidegate_retries_total",
			"Second and third attempts, by where they went (local, remote) and why.", "to", "reason"),
		served: counters("tidegate_mesh_served_total",
			"Requests served for other regions, by origin region and outcome.", "origin", "outcome"),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tidegate_conditions_failed_total",
			Help: "Conditions of routes that could not be evaluated and so did not match; explain tells why."}),
		audited: counters("tidegate_access_audited_total",
			"Messages let in although no access block allows them, by the block that only audits their device.", "access"),
		policies: counters("tidegate_policy_loads_total", "Policy loads by result.", "result"),
		commands: counters("tidegate_commands_total",
			"Commands to devices that have a session at this agent, by what became of them.", "state"),
		policyOK: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tidegate_policy_current", Help: "1 when the newest policy offered is the one in force, 0 when it was refused."}),
		views: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tidegate_views_total", Help: "Views built."}),
		plans: counters(planChangesName,
			"Changes of the first region of a service's plan.", "service"),
		shed: counters(shedName,
			"Messages of devices and services here refused for capacity, by class, reason, and the region whose spill or want of room is to blame (none: local demand).",
			"service", "class", "reason", "cause"),
		timeouts: counters("tidegate_device_timeouts_bad_total",
			"Request-Timeout headers of devices that were past (refused), invalid (ignored) or absurd (bounded).", "fault"),
	}
	reg.MustRegister(m.requests, m.latency, m.retries, m.served, m.failed, m.audited, m.policies, m.policyOK, m.views, m.plans, m.shed, m.timeouts, m.commands)
	m.batches = newBatchMetrics(reg)
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tidegate_requests_in_flight", Help: "Messages being handled now, from devices, local services and the mesh.",
	}, func() float64 { return float64(active.Load()) }))
	return m
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// done counts one finished message.
func (m *metrics) done(k boundKey, took time.Duration) {
	s, ok := m.bound.Load(k)
	if !ok {
		s = m.bind(k)
	}
	series := s.(*boundSeries)
	series.requests.Inc()
	series.latency.Observe(took.Seconds())
}

func (m *metrics) bind(k boundKey) any {
	m.binding.Lock()
	defer m.binding.Unlock()
	s, _ := m.bound.LoadOrStore(k, &boundSeries{
		requests: m.requests.WithLabelValues(k.route, k.class.String(), k.region, k.outcome),
		latency:  m.latency.WithLabelValues(k.route, k.class.String(), k.region),
	})
	return s
}

// doneFor counts one message served for another region.
func (m *metrics) doneFor(origin, outcome string) {
	k := servedKey{origin, outcome}
	c, ok := m.boundServed.Load(k)
	if !ok {
		c = m.bindServed(k)
	}
	c.(prometheus.Counter).Inc()
}

func (m *metrics) bindServed(k servedKey) any {
	m.binding.Lock()
	defer m.binding.Unlock()
	c, _ := m.boundServed.LoadOrStore(k, m.served.WithLabelValues(k.origin, k.outcome))
	return c
}
