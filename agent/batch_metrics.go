package agent

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// batchMetrics are about batches, by route.
type batchMetrics struct {
	messages *prometheus.HistogramVec
	wait     *prometheus.HistogramVec
	split    *prometheus.CounterVec
}

func newBatchMetrics(reg prometheus.Registerer) *batchMetrics {
	m := &batchMetrics{
		messages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tidegate_batch_messages", Help: "Messages of a batch, by route.",
			Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000},
		}, []string{"route"}),
		wait: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tidegate_batch_wait_seconds", Help: "How long the first message of a batch waited for others, by route.",
			Buckets: []float64{.001, .0025, .005, .01, .02, .05, .1, .2, .5, 1},
		}, []string{"route"}),
		split: counters("tidegate_batches_split_total",
			"Batches that the service refused for what they held, so that their messages were sent one by one, by route.", "route"),
	}
	reg.MustRegister(m.messages, m.wait, m.split)
	return m
}

// sealed counts a batch that is about to be sent.
func (m *batchMetrics) sealed(b *batch) {
	m.messages.WithLabelValues(b.key.route.Name).Observe(float64(len(b.events)))
	m.wait.WithLabelValues(b.key.route.Name).Observe(time.Since(b.began).Seconds())
}

// forget drops the series of a route that is gone.
func (m *batchMetrics) forget(route string) {
	m.messages.DeleteLabelValues(route)
	m.wait.DeleteLabelValues(route)
	m.split.DeleteLabelValues(route)
}
