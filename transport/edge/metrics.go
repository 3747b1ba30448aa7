package edge

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidegate/tidegate/transport"
)

// reason is why something was refused, a label of tidegate_edge_refused_total.
type reason string

const (
	reasonDraining      reason = "draining"
	reasonAgentFull     reason = "connections_agent"
	reasonSourceFull    reason = "connections_source"
	reasonHandshakeRate reason = "handshake_rate"
	reasonQuiet         reason = "quiet"
	reasonHeader        reason = "header"
	reasonPath          reason = "path"
	reasonHost          reason = "host"
	reasonMethod        reason = "method"
	reasonUpgrade       reason = "upgrade"
	reasonHeaderFields  reason = "header_fields"
	reasonIdentity      reason = "identity"
	reasonStalled       reason = "stalled"
	reasonRevoked       reason = "revoked"
	reasonBusy          reason = "busy"
	reasonCertificate   reason = "certificate" // it is not of these authorities, or names nobody
	reasonProxy         reason = "proxy"
)

const (
	protoQUIC = "quic"
	protoTCP  = "tcp"

	handshakeDone   = "ok"
	handshakeFailed = "failed"
	handshakeRetry  = "retry" // asked to prove its address

	earlyServed = "served"
	earlyHeld   = "held"
)

type metrics struct {
	connections *prometheus.GaugeVec
	handshakes  *prometheus.CounterVec
	refused     *prometheus.CounterVec
	migrations  prometheus.Counter
	early       *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		connections: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tidegate_edge_connections",
			Help: "Open device connections, handshakes included.",
		}, []string{"proto"}),
		handshakes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidegate_edge_handshakes_total",
			Help: "Handshakes of devices by result: ok, failed, retry (asked to prove the address first).",
		}, []string{"proto", "result"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidegate_edge_refused_total",
			Help: "Connections and requests of devices that the edge refused, by reason.",
		}, []string{"reason"}),
		migrations: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tidegate_edge_migrations_total",
			Help: "QUIC connections of devices that were seen to go on from another address.",
		}),
		early: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidegate_edge_early_requests_total",
			Help: "Requests of devices in early data by result: served at once, or held until the handshake was complete.",
		}, []string{"result"}),
	}
	m.declare()
	return m, transport.Register(reg, m.all()...)
}

// declare makes every series exist from the start, so that rates are right.
func (m *metrics) declare() {
	for _, r := range []reason{
		reasonDraining, reasonAgentFull, reasonSourceFull, reasonHandshakeRate, reasonQuiet, reasonHeader, reasonPath, reasonHost,
		reasonMethod, reasonUpgrade, reasonHeaderFields, reasonIdentity, reasonStalled, reasonRevoked, reasonBusy, reasonCertificate, reasonProxy,
	} {
		m.refused.WithLabelValues(string(r))
	}
	for _, proto := range []string{protoQUIC, protoTCP} {
		m.connections.WithLabelValues(proto)
		m.handshakes.WithLabelValues(proto, handshakeDone)
		m.handshakes.WithLabelValues(proto, handshakeFailed)
	}
	m.handshakes.WithLabelValues(protoQUIC, handshakeRetry)
	m.early.WithLabelValues(earlyServed)
	m.early.WithLabelValues(earlyHeld)
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.connections, m.handshakes, m.refused, m.migrations, m.early}
}

func (m *metrics) unregister(reg prometheus.Registerer) { transport.Unregister(reg, m.all()...) }

func (m *metrics) refuse(r reason) { m.refused.WithLabelValues(string(r)).Inc() }

func (m *metrics) handshake(proto, result string) {
	m.handshakes.WithLabelValues(proto, result).Inc()
}
