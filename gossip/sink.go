package gossip

import (
	"fmt"
	"strconv"
	"sync"

	"github.com/hashicorp/go-metrics"
	promsink "github.com/hashicorp/go-metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"
)

// memberlist reports through the package functions of hashicorp/go-metrics,
// that is through one instance for the whole process; its configuration offers
// labels and nothing else. So one router is installed as that instance, and a
// label that names the mesh tells it whose Prometheus sink a sample belongs
// to. The label is taken off on the way. A program that calls
// metrics.NewGlobal itself later takes memberlist's samples away from every
// mesh.

const sinkLabel = "tidegate_sink"

// processSinks mirrors the process-wide instance of go-metrics.
var processSinks sinkRouter

type sinkRouter struct {
	install sync.Once
	failure error
	sinks   sync.Map // value of sinkLabel → *promsink.PrometheusSink

	mu   sync.Mutex // guards last
	last uint64
}

// add registers a sink of its own for one mesh and returns the label value
// that leads there.
func (r *sinkRouter) add(reg prometheus.Registerer, series []metrics.Label, pools []string) (string, prometheus.Collector, error) {
	r.install.Do(func() {
		cfg := metrics.DefaultConfig("")
		cfg.EnableHostname, cfg.EnableRuntimeMetrics = false, false
		_, r.failure = metrics.NewGlobal(cfg, r)
	})
	if r.failure != nil {
		return "", nil, fmt.Errorf("install memberlist's metrics sink: %w", r.failure)
	}
	sink, err := promsink.NewPrometheusSinkFrom(promsink.PrometheusOpts{
		Registerer: reg, Name: "tidegate_memberlist_sink", Expiration: 0,
		CounterDefinitions: declaredCounters(series, pools),
		GaugeDefinitions:   declaredGauges(series, pools),
	})
	if err != nil {
		return "", nil, fmt.Errorf("register memberlist's metrics: %w", err)
	}
	r.mu.Lock()
	r.last++
	id := strconv.FormatUint(r.last, 10)
	r.mu.Unlock()
	r.sinks.Store(id, sink)
	return id, sink, nil
}

func (r *sinkRouter) remove(id string) { r.sinks.Delete(id) }

// route finds the sink of the labels and strips the label that named it.
func (r *sinkRouter) route(labels []metrics.Label) (*promsink.PrometheusSink, []metrics.Label) {
	for i, l := range labels {
		if l.Name != sinkLabel {
			continue
		}
		sink, ok := r.sinks.Load(l.Value)
		if !ok {
			return nil, nil
		}
		rest := make([]metrics.Label, 0, len(labels)-1)
		rest = append(append(rest, labels[:i]...), labels[i+1:]...)
		return sink.(*promsink.PrometheusSink), rest
	}
	return nil, nil
}

func (r *sinkRouter) SetGaugeWithLabels(key []string, val float32, labels []metrics.Label) {
	if sink, rest := r.route(labels); sink != nil {
		sink.SetGaugeWithLabels(key, val, rest)
	}
}

func (r *sinkRouter) IncrCounterWithLabels(key []string, val float32, labels []metrics.Label) {
	if sink, rest := r.route(labels); sink != nil {
		sink.IncrCounterWithLabels(key, val, rest)
	}
}

func (r *sinkRouter) AddSampleWithLabels(key []string, val float32, labels []metrics.Label) {
	if sink, rest := r.route(labels); sink != nil {
		sink.AddSampleWithLabels(key, val, rest)
	}
}

// Samples without labels are not memberlist's; nobody here asked for them.

func (r *sinkRouter) SetGauge([]string, float32)    {}
func (r *sinkRouter) EmitKey([]string, float32)     {}
func (r *sinkRouter) IncrCounter([]string, float32) {}
func (r *sinkRouter) AddSample([]string, float32)   {}

func declaredCounters(series []metrics.Label, pools []string) []promsink.CounterDefinition {
	help := map[string][]string{
		"Bytes memberlist received in datagrams.":              {"memberlist", "udp", "received"},
		"Bytes memberlist sent in datagrams.":                  {"memberlist", "udp", "sent"},
		"Bytes memberlist sent in streams.":                    {"memberlist", "tcp", "sent"},
		"Streams memberlist opened.":                           {"memberlist", "tcp", "connect"},
		"Streams memberlist accepted.":                         {"memberlist", "tcp", "accept"},
		"Alive messages acted upon.":                           {"memberlist", "msg", "alive"},
		"Suspect messages acted upon.":                         {"memberlist", "msg", "suspect"},
		"Dead messages acted upon.":                            {"memberlist", "msg", "dead"},
		"Probes made while this agent itself seemed slow.":     {"memberlist", "degraded", "probe"},
		"Members declared dead with too few peers confirming.": {"memberlist", "degraded", "timeout"},
	}
	var defs []promsink.CounterDefinition
	for text, name := range help {
		for _, labels := range poolLabels(series, pools) {
			defs = append(defs, promsink.CounterDefinition{Name: name, Help: text, ConstLabels: labels})
		}
	}
	return defs
}

func declaredGauges(series []metrics.Label, pools []string) []promsink.GaugeDefinition {
	var defs []promsink.GaugeDefinition
	for _, labels := range poolLabels(series, pools) {
		defs = append(defs, promsink.GaugeDefinition{
			Name:        []string{"memberlist", "health", "score"},
			Help:        "How slow this agent seems to itself; 0 is healthy.",
			ConstLabels: labels,
		})
	}
	return defs
}

func poolLabels(series []metrics.Label, pools []string) [][]metrics.Label {
	var all [][]metrics.Label
	for _, pool := range pools {
		labels := append([]metrics.Label(nil), series...)
		all = append(all, append(labels, metrics.Label{Name: "pool", Value: pool}))
	}
	return all
}
