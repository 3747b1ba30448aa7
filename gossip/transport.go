package gossip

import (
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// NewTransport is memberlist's own transport, UDP and TCP on one port, for a
// pool's configuration. Config.Transport may wrap it to inject faults. A
// BindPort of 0 is replaced by the port taken.
func NewTransport(cfg *memberlist.Config) (memberlist.NodeAwareTransport, error) {
	tries := 1
	if cfg.BindPort == 0 { // a port free for TCP may be taken for UDP
		tries = 10
	}
	var transport *memberlist.NetTransport
	var err error
	for range tries {
		transport, err = memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{cfg.BindAddr}, BindPort: cfg.BindPort,
			Logger: cfg.Logger, MetricLabels: cfg.MetricLabels,
		})
		if err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if cfg.BindPort == 0 {
		cfg.BindPort = transport.GetAutoBindPort()
	}
	if cfg.AdvertisePort == 0 {
		cfg.AdvertisePort = cfg.BindPort
	}
	return transport, nil
}

// boundedTransport gives every outgoing stream a deadline, which memberlist's
// SendReliable leaves out, and closes those still open when it shuts down.
type boundedTransport struct {
	memberlist.NodeAwareTransport
	timeout time.Duration

	mu     sync.Mutex // guards closed and conns
	closed bool
	conns  map[*boundedConn]struct{}
}

func boundTransport(inner memberlist.Transport, timeout time.Duration) *boundedTransport {
	aware, ok := inner.(memberlist.NodeAwareTransport)
	if !ok {
		aware = namelessTransport{inner}
	}
	return &boundedTransport{NodeAwareTransport: aware, timeout: timeout, conns: make(map[*boundedConn]struct{})}
}

func (t *boundedTransport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

func (t *boundedTransport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	conn, err := t.NodeAwareTransport.DialAddressTimeout(a, timeout)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(t.timeout)); err != nil {
		return nil, fmt.Errorf("deadline on stream to %s: %w", a.Addr, err)
	}
	return t.track(conn)
}

func (t *boundedTransport) track(conn net.Conn) (net.Conn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	bounded := &boundedConn{Conn: conn, transport: t}
	t.conns[bounded] = struct{}{}
	return bounded, nil
}

func (t *boundedTransport) Shutdown() error {
	t.mu.Lock()
	t.closed = true
	for conn := range t.conns {
		_ = conn.Conn.Close()
	}
	t.mu.Unlock()
	return t.NodeAwareTransport.Shutdown()
}

type boundedConn struct {
	net.Conn
	transport *boundedTransport
}

func (c *boundedConn) Close() error {
	c.transport.mu.Lock()
	delete(c.transport.conns, c)
	c.transport.mu.Unlock()
	return c.Conn.Close()
}

// namelessTransport serves transports that know addresses only.
type namelessTransport struct{ memberlist.Transport }

func (t namelessTransport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return t.WriteTo(b, a.Addr)
}

func (t namelessTransport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(a.Addr, timeout)
}
