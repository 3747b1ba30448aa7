package catalog

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// meters shows a catalog to Prometheus: what the snapshot holds at the moment
// of a scrape, and a counter of errors.
type meters struct {
	errors    *prometheus.CounterVec
	snapshot  func() *Snapshot
	age       *prometheus.Desc
	stale     *prometheus.Desc
	instances *prometheus.Desc
}

func newMeters(reg prometheus.Registerer, snapshot func() *Snapshot) (*meters, error) {
	m := &meters{
		snapshot: snapshot,
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidegate_catalog_errors_total",
			Help: "Failures of the catalog, by kind: query, empty, filtered, address, register, disk, peers, kv, check.",
		}, []string{"kind"}),
		age: prometheus.NewDesc("tidegate_catalog_age_seconds",
			"Time since the source last confirmed the oldest followed service.", nil, nil),
		stale: prometheus.NewDesc("tidegate_catalog_stale",
			"1 while the last answer for a followed service was missing, empty or filtered.", nil, nil),
		instances: prometheus.NewDesc("tidegate_catalog_instances",
			"Instances of followed services, by status.", []string{"service", "status"}, nil),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m, m.errors} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register catalog metrics: %w", err)
		}
	}
	return m, nil
}

func (m *meters) fail(kind string) { m.errors.WithLabelValues(kind).Inc() }

// Describe implements prometheus.Collector.
func (m *meters) Describe(out chan<- *prometheus.Desc) {
	out <- m.age
	out <- m.stale
	out <- m.instances
}

// Collect implements prometheus.Collector.
func (m *meters) Collect(out chan<- prometheus.Metric) {
	s := m.snapshot()
	stale := 0.0
	if s.Stale {
		stale = 1
	}
	out <- prometheus.MustNewConstMetric(m.age, prometheus.GaugeValue, s.Age(time.Now()).Seconds())
	out <- prometheus.MustNewConstMetric(m.stale, prometheus.GaugeValue, stale)
	for name, instances := range s.Services {
		service := strings.ToValidUTF8(name, "?")
		var count [3]int
		for _, i := range instances {
			count[i.Status]++
		}
		for status, n := range count {
			out <- prometheus.MustNewConstMetric(m.instances, prometheus.GaugeValue, float64(n), service, Status(status).String())
		}
	}
}
