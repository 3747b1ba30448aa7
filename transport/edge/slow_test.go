package edge

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tidegate/tidegate/transport/mqtt"
)

const (
	slowLimit = 400 * time.Millisecond
	slowDrip  = 20 * time.Millisecond
)

// dribble sends what is left of something, a byte at a time and then on and on;
// nil: nothing more is sent.
type dribble struct {
	conn net.Conn
	rest io.Reader
}

// x is without end.
type x struct{}

func (x) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// attack is one way to be slow, and the counter that tells of it.
type attack struct {
	begin   func(b *bench, t *testing.T) dribble
	counted func(b *bench) float64
}

func countHeader(b *bench) float64    { return b.refused(reasonHeader) }
func countTCPFailed(b *bench) float64 { return b.handshakes(protoTCP, handshakeFailed) }
func countMQTT(b *bench) float64      { return b.sum("tidegate_mqtt_disconnects_total") }

func (b *bench) sum(name string) float64 {
	total := 0.0
	families, _ := b.registry.Gather()
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				total += m.GetCounter().GetValue()
			}
		}
	}
	return total
}

func (b *bench) tlsTo(t *testing.T, addr, alpn string) net.Conn {
	conf := b.clientTLS(b.device(t, "slow"))
	if alpn != "" {
		conf.NextProtos = []string{alpn}
	}
	return must[*tls.Conn](t)(tls.Dial("tcp", addr, conf))
}

func slowMQTT(kind string) func(*bench, *testing.T) dribble {
	return func(b *bench, t *testing.T) dribble {
		return dribble{b.dialMQTT(t, kind), io.MultiReader(strings.NewReader("\x10\xff\x7f\x00\x04MQTT\x04\x02"), x{})}
	}
}

var slow = map[string]attack{
	"TCP without TLS": {func(b *bench, t *testing.T) dribble {
		return dribble{must[net.Conn](t)(net.Dial("tcp", b.tcp)), nil}
	}, countTCPFailed},
	"TLS handshake": {func(b *bench, t *testing.T) dribble {
		hello := append([]byte{0x16, 3, 1, 0x3f, 0, 1, 0, 0x3e, 0xfc, 3, 3}, make([]byte, 400)...)
		return dribble{must[net.Conn](t)(net.Dial("tcp", b.tcp)), bytes.NewReader(hello)}
	}, countTCPFailed},
	"TLS handshake, MQTT's port": {func(b *bench, t *testing.T) dribble {
		return dribble{must[net.Conn](t)(net.Dial("tcp", b.mqtt)), io.MultiReader(strings.NewReader("\x16\x03\x01\x3f\x00"), x{})}
	}, countTCPFailed},
	"nothing after the handshake": {func(b *bench, t *testing.T) dribble {
		return dribble{b.tlsTo(t, b.tcp, ""), nil}
	}, countHeader},
	"nothing of HTTP/1.1": {func(b *bench, t *testing.T) dribble {
		return dribble{b.tlsTo(t, b.tcp, "http/1.1"), nil}
	}, countHeader},
	"nothing of HTTP/2": {func(b *bench, t *testing.T) dribble {
		return dribble{b.tlsTo(t, b.tcp, "h2"), nil}
	}, countHeader},
	"HTTP/1.1 header": {func(b *bench, t *testing.T) dribble {
		return dribble{b.tlsTo(t, b.tcp, "http/1.1"), io.MultiReader(strings.NewReader("GET / HTTP/1.1\r\nHost: h\r\nX: "), x{})}
	}, countHeader},
	"HTTP/1.1 header, the second": {func(b *bench, t *testing.T) dribble {
		conn := b.tlsTo(t, b.tcp, "http/1.1")
		must[int](t)(io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\n"))
		return dribble{conn, io.MultiReader(strings.NewReader("X: "), x{})}
	}, countHeader},
	"HTTP/1.1 header, without ALPN": {func(b *bench, t *testing.T) dribble {
		return dribble{b.tlsTo(t, b.tcp, ""), io.MultiReader(strings.NewReader("GET / HTTP/1.1\r\nX: "), x{})}
	}, countHeader},
	"WebSocket upgrade": {func(b *bench, t *testing.T) dribble {
		head := "GET /mqtt HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
		return dribble{b.tlsTo(t, b.tcp, "http/1.1"), io.MultiReader(strings.NewReader(head), x{})}
	}, countHeader},
	"HTTP/2 preface": {func(b *bench, t *testing.T) dribble {
		return dribble{b.tlsTo(t, b.tcp, "h2"), strings.NewReader(http2.ClientPreface[:20])}
	}, countHeader},
	"HTTP/2 HEADERS": {func(b *bench, t *testing.T) dribble {
		conn := b.tlsTo(t, b.tcp, "h2")
		must[int](t)(io.WriteString(conn, http2.ClientPreface+"\x00\x00\x00\x04\x00\x00\x00\x00\x00")) // SETTINGS
		return dribble{conn, io.MultiReader(strings.NewReader("\x00\x20\x00\x01\x04\x00\x00\x00\x01"), x{})}
	}, countHeader},
	"HTTP/2 CONTINUATION": {func(b *bench, t *testing.T) dribble {
		conn := b.tlsTo(t, b.tcp, "h2")
		must[int](t)(io.WriteString(conn, http2.ClientPreface))
		var frames bytes.Buffer
		f := http2.NewFramer(&frames, nil)
		check(t, f.WriteSettings())
		var block bytes.Buffer
		check(t, hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":method", Value: "GET"}))
		check(t, f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes()}))
		for range 100 {
			check(t, f.WriteContinuation(1, false, nil))
		}
		return dribble{conn, &frames}
	}, countHeader},
	"HTTP/3 header": {func(b *bench, t *testing.T) dribble {
		conn, _ := b.known(t, "slow")
		str := must[*quic.Stream](t)(conn.OpenStream())
		return dribble{&streamConn{str, conn}, io.MultiReader(bytes.NewReader([]byte{1, 0x60, 0, 0, 0}), x{})}
	}, countHeader},
	"a QUIC handshake": {func(b *bench, t *testing.T) dribble {
		d := newDeaf(t, b.udp)
		d.is.Store(true)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), slowLimit/2)
			defer cancel()
			_, _ = quic.DialAddr(ctx, d.inside.LocalAddr().String(), b.h3TLS(), nil)
		}()
		return dribble{}
	}, func(b *bench) float64 { return b.handshakes(protoQUIC, handshakeFailed) }},
	"no stream for MQTT": {func(b *bench, t *testing.T) dribble {
		conf := b.clientTLS(b.device(t, "slow"))
		conf.NextProtos = []string{"mqtt"}
		_, err := b.dialQUIC(t, conf)
		check(t, err)
		return dribble{}
	}, countHeader},
	"CONNECT on TLS":         {slowMQTT("tls"), countMQTT},
	"CONNECT with ALPN":      {slowMQTT("tls with alpn"), countMQTT},
	"CONNECT on MQTT's port": {slowMQTT("own port"), countMQTT},
	"CONNECT on QUIC":        {slowMQTT("quic"), countMQTT},
	"CONNECT in a WebSocket": {slowMQTT("websocket"), countMQTT},
	"a body that does not come": {func(b *bench, t *testing.T) dribble {
		conn := b.tlsTo(t, b.tcp, "http/1.1")
		must[int](t)(io.WriteString(conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nsome"))
		return dribble{conn, nil}
	}, func(b *bench) float64 { return b.refused(reasonStalled) }},
}

// Whoever is slow is cut off in time, and counted, and nobody else is the worse
// for it.
func TestWhoeverIsSlowIsCutOff(t *testing.T) {
	for name, a := range slow {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registry := prometheus.NewRegistry()
			server := must[*mqtt.Server](t)(mqtt.New(mqtt.Config{
				Handler: &certified{}, Metrics: registry, Limits: mqtt.Limits{ConnectTimeout: slowLimit},
			}))
			t.Cleanup(server.Close)
			b, _ := newMQTTBench(t, func(c *Config) {
				c.MQTT, c.Metrics = server, registry
				c.Limits.HeaderTimeout, c.Limits.IdleTimeout, c.Limits.BodyIdle = slowLimit, 2*slowLimit, slowLimit
				c.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, err := io.Copy(io.Discard, r.Body)
					fmt.Fprint(w, err)
				})
			})
			b.registry = registry
			other := b.client(t, "h2")
			get(t, other, "/")
			before := a.counted(b)
			d := a.begin(b, t)
			began := time.Now()
			drip := time.NewTicker(slowDrip)
			defer drip.Stop()
			for a.counted(b) == before {
				if time.Since(began) > 15*time.Second {
					t.Fatal("neither cut off nor counted")
				}
				d.drop()
				if rsp, _ := get(t, other, "/"); rsp.StatusCode != http.StatusOK {
					t.Errorf("another device got %d", rsp.StatusCode)
				}
				<-drip.C
			}
			if n := a.counted(b) - before; n != 1 {
				t.Errorf("counted %v times", n)
			}
			eventually(t, "its connection is gone", func() bool { return b.Connections() <= 1 })
		})
	}
}

// drop sends one byte more; that this fails at the end is what is wanted.
func (d dribble) drop() {
	if d.rest == nil {
		return
	}
	one := make([]byte, 1)
	if n, _ := d.rest.Read(one); n == 1 {
		_, _ = d.conn.Write(one)
	}
}

// Who has asked something and keeps the connection is not slow.
func TestWhoIsIdleIsNotCountedAsSlow(t *testing.T) {
	b := newBench(t, overloaded, limited(func(l *Limits) { l.IdleTimeout = 100 * time.Millisecond }))
	each(t, []string{"h1", "h2"}, func(t *testing.T, proto string) {
		client := b.client(t, proto)
		get(t, client, "/")
		for range 2 {
			rsp := must[*http.Response](t)(client.Post(url("/"), "text/plain", strings.NewReader("a body that nobody reads")))
			wantOverloaded(t, rsp)
		}
		eventually(t, "the edge has closed the connection", func() bool { return b.Connections() == 0 })
	})
	leaves := b.raw(t)
	must[int](t)(io.WriteString(leaves, "GET / HTTP/1.1\r\n"))
	check(t, leaves.Close())
	eventually(t, "it is gone", func() bool { return b.Connections() == 0 })
	if n := b.refused(reasonHeader); n != 0 {
		t.Errorf("%v counted", n)
	}
}
