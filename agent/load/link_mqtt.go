package load

import (
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/quic-go/quic-go"

	"github.com/tidegate/tidegate/agent/ledger"
)

// mqttLink publishes at QoS 1, by MQTT 5.
type mqttLink struct {
	id   string
	dial func(ctx context.Context, addr string) (io.ReadWriteCloser, error)

	connecting sync.Mutex // held while a connection is made, so that there is one to an address
	mu         sync.Mutex // guards conns
	conns      map[string]*mqttConn
}

const protocolMQTT = "mqtt"

func newMQTTLink(id string, via *quic.Transport, conf *tls.Config, onQUIC bool) *mqttLink {
	l := &mqttLink{id: id, conns: map[string]*mqttConn{}}
	l.dial = func(ctx context.Context, addr string) (io.ReadWriteCloser, error) {
		return (&tls.Dialer{NetDialer: &net.Dialer{}, Config: forProtocol(conf, addr, protocolMQTT)}).DialContext(ctx, "tcp", addr)
	}
	if onQUIC {
		l.dial = func(ctx context.Context, addr string) (io.ReadWriteCloser, error) {
			return dialStream(ctx, via, addr, conf)
		}
	}
	return l
}

// mqttStream is the one that MQTT is spoken on.
type mqttStream struct {
	*quic.Stream
	conn *quic.Conn
}

func (s *mqttStream) Close() error { return s.conn.CloseWithError(0, "") }

func dialStream(ctx context.Context, via *quic.Transport, addr string, conf *tls.Config) (io.ReadWriteCloser, error) {
	conn, err := dialQUIC(ctx, via, addr, forProtocol(conf, addr, protocolMQTT), quicConfig(true))
	if err != nil {
		return nil, err
	}
	s, err := conn.OpenStreamSync(ctx)
	if err != nil {
		_ = conn.CloseWithError(0, "")
		return nil, err
	}
	return &mqttStream{s, conn}, nil
}

func (l *mqttLink) attempt(ctx context.Context, m *message) (a answer, err error) {
	c, err := l.to(ctx, m.edge.Addr)
	if err != nil {
		return a, err
	}
	p := &packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}, TopicName: strings.TrimPrefix(m.path, "/"), Payload: m.body}
	for _, name := range slices.Sorted(maps.Keys(m.kind.Header)) {
		p.Properties.User = append(p.Properties.User, packets.UserProperty{Key: name, Val: m.kind.Header[name]})
	}
	if m.id != "" {
		p.Properties.User = append(p.Properties.User, packets.UserProperty{Key: ledger.Header, Val: m.id})
	}
	if m.deadline > 0 {
		p.Properties.User = append(p.Properties.User, packets.UserProperty{Key: "Request-Timeout", Val: seconds(m.deadline.Seconds())})
	}
	ack, err := c.publish(ctx, p)
	if err != nil {
		return a, err
	}
	a.status = statusOfCode(ack.ReasonCode)
	if a.forNow() {
		a.reason = ack.Properties.ReasonString
	}
	return a, nil
}

// to returns the connection to an address, a new one where that ended.
func (l *mqttLink) to(ctx context.Context, addr string) (*mqttConn, error) {
	l.connecting.Lock()
	defer l.connecting.Unlock()
	l.mu.Lock()
	c := l.conns[addr]
	l.mu.Unlock()
	if c != nil && c.alive() {
		return c, nil
	}
	rw, err := l.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	if c, err = openMQTT(ctx, rw, l.id); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[addr] = c
	return c, nil
}

func (l *mqttLink) connect(ctx context.Context, addr string) error {
	_, err := l.to(ctx, addr)
	return err
}

func (l *mqttLink) connected() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		if c.alive() {
			return true
		}
	}
	return false
}

func (l *mqttLink) drop() {
	l.mu.Lock()
	old := l.conns
	l.conns = map[string]*mqttConn{}
	l.mu.Unlock()
	for _, c := range old {
		c.close()
	}
}

// mqttKeepAlive is how often a device lets itself be heard.
const mqttKeepAlive = 15 * time.Second
