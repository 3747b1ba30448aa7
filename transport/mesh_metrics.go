package transport

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// meshMetrics are labelled by region and by fixed words only: their number is
// bounded by the mesh's size.
type meshMetrics struct {
	registry prometheus.Registerer // nil: not exported
	dials    *prometheus.CounterVec
	refusals *prometheus.CounterVec
	probes   *prometheus.CounterVec
	rtt      *prometheus.HistogramVec
	tunnels  tunnelCollector
}

func newMeshMetrics(m *Mesh) (*meshMetrics, error) {
	metrics := &meshMetrics{
		registry: m.cfg.Metrics,
		dials: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidegate_mesh_dials_total", Help: "Attempts to connect to an agent, by its region and result: ok, timeout, identity, error.",
		}, []string{"region", "result"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidegate_mesh_refused_total", Help: "What this agent refused its peers, by reason.",
		}, []string{"reason"}),
		probes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidegate_mesh_probes_total", Help: "Liveness probes, by region of the probed agent and event: sent, answered.",
		}, []string{"region", "event"}),
		rtt: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tidegate_mesh_probe_rtt_seconds", Help: "Round-trip time of answered probes, by region of the probed agent.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 14),
		}, []string{"region"}),
		tunnels: tunnelCollector{m, prometheus.NewDesc("tidegate_mesh_tunnels",
			"Tunnels to keep, by region of the agent at the far end and state: quic, tcp, down.", []string{"region", "state"}, nil)},
	}
	return metrics, Register(metrics.registry, metrics.collectors()...)
}

func (m *meshMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.dials, m.refusals, m.probes, m.rtt, m.tunnels}
}

func (m *meshMetrics) unregister() { Unregister(m.registry, m.collectors()...) }

func (m *meshMetrics) dialled(region string, err error) {
	result := "error"
	switch {
	case err == nil:
		result = "ok"
	case errors.Is(err, context.DeadlineExceeded):
		result = "timeout"
	case errors.Is(err, ErrIdentity):
		result = "identity"
	}
	m.dials.WithLabelValues(region, result).Inc()
}

func (m *meshMetrics) refused(reason string) { m.refusals.WithLabelValues(reason).Inc() }

func (m *meshMetrics) probeSent(region string) { m.probes.WithLabelValues(region, "sent").Inc() }

func (m *meshMetrics) probeAnswered(region string, rtt time.Duration) {
	m.probes.WithLabelValues(region, "answered").Inc()
	m.rtt.WithLabelValues(region).Observe(rtt.Seconds())
}

// tunnelCollector counts tunnels when asked.
type tunnelCollector struct {
	mesh *Mesh
	desc *prometheus.Desc
}

func (c tunnelCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

func (c tunnelCollector) Collect(ch chan<- prometheus.Metric) {
	for region, keepers := range c.mesh.tunnels.Load().byRegion {
		states := map[string]int{"quic": 0, "tcp": 0, "down": 0}
		for _, k := range keepers {
			state := "down"
			if t := k.tunnel(); t != nil {
				state = t.Protocol()
			}
			states[state]++
		}
		for state, n := range states {
			ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(n), region, state)
		}
	}
}
