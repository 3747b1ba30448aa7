package mqtt

import (
	"fmt"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidegate/tidegate/transport"
)

type metrics struct {
	connections  prometheus.Gauge
	messages     *prometheus.CounterVec
	refused      *prometheus.CounterVec
	violations   *prometheus.CounterVec
	takenOver    prometheus.Counter
	overflow     prometheus.Counter
	pushed       prometheus.Counter
	unsubscribed *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tidegate_mqtt_connections",
			Help: "Open MQTT connections.",
		}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidegate_mqtt_messages_total",
			Help: "Messages that devices published over MQTT, by what became of them each time they were offered: accepted, refused, busy, failed.",
		}, []string{"qos", "result"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidegate_mqtt_connects_refused_total",
			Help: "Connections refused after CONNECT, by reason code of MQTT 5.",
		}, []string{"code"}),
		violations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidegate_mqtt_disconnects_total",
			Help: "Connections that the agent ended for what the device did, by reason code of MQTT 5.",
		}, []string{"code"}),
		takenOver: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tidegate_mqtt_sessions_taken_over_total",
			Help: "Sessions that another connection of the same device took over.",
		}),
		overflow: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tidegate_mqtt_overflow_total",
			Help: "Messages that exceeded what a session may have under way.",
		}),
		pushed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tidegate_mqtt_pushes_total",
			Help: "Commands sent to devices over MQTT, each time they were sent.",
		}),
		unsubscribed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidegate_mqtt_subscriptions_refused_total",
			Help: "Subscriptions refused, by reason code of MQTT 5.",
		}, []string{"code"}),
	}
	return m, transport.Register(reg, m.all()...)
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.connections, m.messages, m.refused, m.violations, m.takenOver, m.overflow, m.pushed, m.unsubscribed}
}

func (m *metrics) unregister(reg prometheus.Registerer) { transport.Unregister(reg, m.all()...) }

var resultNames = [...]string{Accepted: "accepted", Refused: "refused", Busy: "busy", Failed: "failed"}

// String returns the result as used in metrics.
func (r Result) String() string {
	if int(r) < len(resultNames) {
		return resultNames[r]
	}
	return "result(" + strconv.Itoa(int(r)) + ")"
}

func (m *metrics) published(qos byte, r Result) {
	m.messages.WithLabelValues(strconv.Itoa(int(qos)), r.String()).Inc()
}

func (m *metrics) refuse(code byte)              { m.refused.WithLabelValues(hex(code)).Inc() }
func (m *metrics) subscriptionRefused(code byte) { m.unsubscribed.WithLabelValues(hex(code)).Inc() }
func (m *metrics) violation(code byte)           { m.violations.WithLabelValues(hex(code)).Inc() }

func hex(code byte) string { return fmt.Sprintf("0x%02X", code) }
