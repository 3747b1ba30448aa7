package events

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidegate/tidegate/transport"
)

type metrics struct {
	streams prometheus.Gauge
	pushed  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tidegate_event_streams",
			Help: "Devices that listen for commands over HTTP.",
		}),
		pushed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tidegate_event_pushes_total",
			Help: "Commands written to devices that listen over HTTP.",
		}),
	}
	return m, transport.Register(reg, m.all()...)
}

func (m *metrics) all() []prometheus.Collector { return []prometheus.Collector{m.streams, m.pushed} }

func (m *metrics) unregister(reg prometheus.Registerer) { transport.Unregister(reg, m.all()...) }
