package gossip

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/go-metrics"
	"github.com/prometheus/client_golang/prometheus"
)

// meshMetrics are the mesh's own series, and the way to memberlist's.
type meshMetrics struct {
	registry   prometheus.Registerer
	own        []prometheus.Collector
	registered []prometheus.Collector
	sink       string
	agent      string

	dropped   *prometheus.CounterVec
	received  *prometheus.CounterVec
	failed    *prometheus.CounterVec
	joins     *prometheus.CounterVec
	terms     prometheus.Counter
	wanOpened prometheus.Counter

	vectorBytes prometheus.Gauge
}

func counterVec(name, help, label string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
}

func newMeshMetrics(agent string) *meshMetrics {
	m := &meshMetrics{
		agent:     agent,
		dropped:   counterVec("tidegate_gossip_frames_dropped_total", "Gossip frames dropped, by reason.", "reason"),
		received:  counterVec("tidegate_gossip_frames_received_total", "Gossip frames accepted or known already, by kind.", "kind"),
		failed:    counterVec("tidegate_gossip_sends_failed_total", "Gossip frames that could not be sent, by way.", "way"),
		joins:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tidegate_gossip_joins_total", Help: "Attempts to join remembered addresses, by pool and result."}, []string{"pool", "result"}),
		terms:     prometheus.NewCounter(prometheus.CounterOpts{Name: "tidegate_gossip_terms_total", Help: "Times this agent became the region's lead."}),
		wanOpened: prometheus.NewCounter(prometheus.CounterOpts{Name: "tidegate_gossip_wan_opened_total", Help: "Times this agent joined the WAN pool as a gateway."}),

		vectorBytes: prometheus.NewGauge(prometheus.GaugeOpts{Name: "tidegate_gossip_vector_bytes", Help: "Size of the newest vector this agent published as lead."}),
	}
	for _, reason := range dropReasons() {
		m.dropped.WithLabelValues(reason)
	}
	m.own = []prometheus.Collector{m.dropped, m.received, m.failed, m.joins, m.terms, m.wanOpened, m.vectorBytes}
	return m
}

// register adds the series to the registry, all of them or none.
func (m *meshMetrics) register(reg prometheus.Registerer, state prometheus.Collector) error {
	if reg == nil {
		return nil
	}
	m.registry = reg
	for _, c := range append(slices.Clone(m.own), state) {
		if err := reg.Register(c); err != nil {
			m.unregister()
			return fmt.Errorf("register gossip metrics, one registry an agent: %w", err)
		}
		m.registered = append(m.registered, c)
	}
	sink, collector, err := processSinks.add(reg, m.agentLabels(), []string{poolLAN, poolWAN})
	if err != nil {
		m.unregister()
		return err
	}
	m.sink = sink
	m.registered = append(m.registered, collector)
	return nil
}

func (m *meshMetrics) unregister() {
	if m.sink != "" {
		processSinks.remove(m.sink)
		m.sink = ""
	}
	for _, c := range m.registered {
		m.registry.Unregister(c)
	}
	m.registered = nil
}

func (m *meshMetrics) agentLabels() []metrics.Label {
	return []metrics.Label{{Name: "agent", Value: m.agent}}
}

// poolLabels go into memberlist's configuration. The slice has no spare room:
// memberlist appends to it from several goroutines.
func (m *meshMetrics) poolLabels(pool string) []metrics.Label {
	if m.sink == "" {
		return nil
	}
	labels := append(m.agentLabels(), metrics.Label{Name: "pool", Value: pool}, metrics.Label{Name: sinkLabel, Value: m.sink})
	return slices.Clip(labels)
}

func (m *meshMetrics) drop(reason string)   { m.dropped.WithLabelValues(reason).Inc() }
func (m *meshMetrics) receive(k kind)       { m.received.WithLabelValues(k.String()).Inc() }
func (m *meshMetrics) sendFailed(by string) { m.failed.WithLabelValues(by).Inc() }
func (m *meshMetrics) joined(pool string, err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	m.joins.WithLabelValues(pool, result).Inc()
}

// stateCollector reads the snapshot when it is scraped.
type stateCollector struct {
	mesh *Mesh

	digestAge, vectorAge, members, gateway, lead, down, override *prometheus.Desc
}

func newStateCollector(m *Mesh) *stateCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("tidegate_gossip_"+name, help, labels, nil)
	}
	return &stateCollector{
		mesh:      m,
		digestAge: desc("digest_age_seconds", "Time since a region's newest digest arrived.", "region"),
		vectorAge: desc("vector_age_seconds", "Time since a region's newest vector arrived.", "region"),
		members:   desc("members", "Live members of a pool, this agent included.", "pool"),
		gateway:   desc("gateway", "1 while this agent is a gateway."),
		lead:      desc("lead", "1 while this agent speaks for its region."),
		down:      desc("region_down", "1 for each region under a verdict in force.", "region"),
		override:  desc("override", "1 for each region under an operator's word.", "region", "kind"),
	}
}

func (c *stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.digestAge, c.vectorAge, c.members, c.gateway, c.lead, c.down, c.override} {
		ch <- d
	}
}

func (c *stateCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	s := c.mesh.State()
	wan := 0
	for name, r := range s.Regions {
		if r.Digest != nil {
			gauge(c.digestAge, time.Since(r.Arrived).Seconds(), name)
		}
		if r.Vector != nil {
			gauge(c.vectorAge, time.Since(r.VectorArrived).Seconds(), name)
		}
		for _, p := range r.Peers {
			if p.Alive {
				wan++
			}
		}
	}
	gauge(c.members, float64(len(s.Members)), poolLAN)
	gauge(c.members, float64(wan), poolWAN)
	gauge(c.gateway, oneIf(s.IsGateway))
	gauge(c.lead, oneIf(s.IsLead))
	for _, region := range s.Down {
		gauge(c.down, 1, region)
	}
	for _, o := range s.Overrides {
		gauge(c.override, 1, o.Region, o.Kind)
	}
}

func oneIf(v bool) float64 {
	if v {
		return 1
	}
	return 0
}

var errRunning = errors.New("started already")
