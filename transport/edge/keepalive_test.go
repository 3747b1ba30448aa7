package edge

import (
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// The device says nothing of itself, and its own end of the connection waits
// for hours.
func (b *bench) silentMQTT(t *testing.T) *quic.Conn {
	t.Helper()
	conf := b.clientTLS(b.device(t, "d1"))
	conf.NextProtos = []string{"mqtt"}
	conn, err := b.dial(t, conf, &quic.Config{MaxIdleTimeout: time.Hour})
	check(t, err)
	stream := &streamConn{must[*quic.Stream](t)(conn.OpenStream()), conn}
	exchangeMQTT(t, stream, mqttConnect, mqttConnack)
	return conn
}

func TestTheEdgeKeepsSilentDevicesAlive(t *testing.T) {
	const idle = 300 * time.Millisecond
	b, _ := newMQTTBench(t, func(c *Config) { c.Limits.IdleTimeout, c.Limits.KeepAlive = idle, idle/3 })
	conn := b.silentMQTT(t)
	select {
	case <-conn.Context().Done():
		t.Fatal("the connection has ended")
	case <-time.After(4 * idle):
	}
}

func TestKeepAliveMayBeLeftToDevices(t *testing.T) {
	b, _ := newMQTTBench(t, func(c *Config) { c.Limits.IdleTimeout, c.Limits.KeepAlive = 300*time.Millisecond, NoKeepAlive })
	b.silentMQTT(t)
	eventually(t, "the connection ends", func() bool { return b.Connections() == 0 })
}

// What the edge keeps alive is not there for good.
func TestAConnectionThatAKnownDeviceForgotIsClosed(t *testing.T) {
	b := newBench(t, hello, func(c *Config) { c.ClientAuth = Required; c.Limits.IdleTimeout = 50 * time.Millisecond })
	known := b.client3(t, b.device(t, "meter-1"))
	known.Transport.(*http3.Transport).QUICConfig = &quic.Config{MaxIdleTimeout: time.Hour}
	get(t, known, "/")
	began := time.Now()
	eventually(t, "the connection is closed", func() bool { return b.Connections() == 0 })
	if lived := time.Since(began); lived < knownPatience*50*time.Millisecond-100*time.Millisecond || b.refused(reasonQuiet) != 1 {
		t.Errorf("after %s, %v counted", lived, b.refused(reasonQuiet))
	}
}
