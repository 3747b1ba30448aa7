package agent

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidegate/tidegate/agent/admin"
)

// faultsInForce lists those that this agent knows, oldest first.
func (a *Agent) faultsInForce() []admin.ActiveFault {
	if a.opts.Faults == nil {
		return nil
	}
	return a.opts.Faults.Faults()
}

// faultMetrics count the faults in force by kind.
type faultMetrics struct {
	agent *Agent
	count *prometheus.Desc
}

func newFaultMetrics(a *Agent) *faultMetrics {
	return &faultMetrics{a, prometheus.NewDesc("tidegate_faults", "Injected faults in force, by kind.", []string{"kind"}, nil)}
}

// Describe implements prometheus.Collector.
func (m *faultMetrics) Describe(out chan<- *prometheus.Desc) { out <- m.count }

// Collect implements prometheus.Collector.
func (m *faultMetrics) Collect(out chan<- prometheus.Metric) {
	kinds := map[string]float64{}
	for _, f := range m.agent.faultsInForce() {
		kinds[f.Kind]++
	}
	for kind, n := range kinds {
		out <- prometheus.MustNewConstMetric(m.count, prometheus.GaugeValue, n, kind)
	}
}
