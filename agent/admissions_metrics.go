package agent

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidegate/tidegate/policy"
)

// admissionSeries are read when they are asked for, so that nothing is left of
// a service or region that is gone. The label region is empty for this one.
type admissionSeries struct {
	desc  *prometheus.Desc
	value func(s *policy.AdmissionStats) float64
}

func admissionSeriesAll() []admissionSeries {
	series := func(name, help string, value func(s *policy.AdmissionStats) float64) admissionSeries {
		return admissionSeries{prometheus.NewDesc("tidegate_admission_"+name, help, []string{"service", "region"}, nil), value}
	}
	return []admissionSeries{
		series("limit", "Requests that may be in flight.", func(s *policy.AdmissionStats) float64 { return float64(s.Limit) }),
		series("in_flight", "Requests that are.", func(s *policy.AdmissionStats) float64 { return float64(s.InFlight) }),
		series("queued", "Requests that wait for a slot.", func(s *policy.AdmissionStats) float64 { return float64(s.Queued) }),
		series("threshold", "Rank below which requests are refused: 128 a band.", func(s *policy.AdmissionStats) float64 { return float64(s.Threshold) }),
		series("rejecting", "Share of the arrivals that are refused, 0 to 1.", func(s *policy.AdmissionStats) float64 { return s.Rejecting }),
		series("capacity", "Requests a second that can be served; 0: not known.", func(s *policy.AdmissionStats) float64 { return s.Capacity }),
		series("queue_wait_seconds", "Longest wait of the last second.", func(s *policy.AdmissionStats) float64 { return s.QueueWait.Seconds() }),
	}
}

func demandDesc() *prometheus.Desc {
	return prometheus.NewDesc("tidegate_demand", "Requests a second of devices and services here, before any decision.", []string{"service", "class"}, nil)
}

func expectedDesc() *prometheus.Desc {
	return prometheus.NewDesc("tidegate_expected_spill", "Requests a second that other regions will send here and have not yet, by the region most to blame while the threshold is up for them.", []string{"service", "class", "cause"}, nil)
}

// Describe implements prometheus.Collector.
func (s *admissions) Describe(out chan<- *prometheus.Desc) {
	for _, one := range admissionSeriesAll() {
		out <- one.desc
	}
	out <- demandDesc()
	out <- expectedDesc()
}

// Collect implements prometheus.Collector.
func (s *admissions) Collect(out chan<- prometheus.Metric) {
	all := admissionSeriesAll()
	s.each(func(target, region string, a *policy.Admission) {
		stats := a.Stats()
		for _, one := range all {
			out <- gauge(one.desc, one.value(&stats), target, region)
		}
		if region == "" {
			s.collectRates(out, target, &stats)
		}
	})
}

func (s *admissions) collectRates(out chan<- prometheus.Metric, target string, stats *policy.AdmissionStats) {
	demand, expected := demandDesc(), expectedDesc()
	rates := s.demand(target)
	for _, c := range policy.Classes() {
		out <- gauge(demand, rates[c], target, c.String())
		out <- gauge(expected, stats.Expected[c], target, c.String(), stats.Cause)
	}
}

func gauge(desc *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}
