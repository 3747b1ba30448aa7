package edge

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
	"github.com/tidegate/tidegate/transport/mqtt"
)

// CONNECT and CONNACK of MQTT 3.1.1, and a PUBLISH at QoS 1 with its PUBACK.
var (
	mqttConnect = []byte{0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 2, 'c', '1'}
	mqttConnack = []byte{0x20, 2, 0, 0}
	mqttPublish = []byte{0x32, 6, 0, 1, 'a', 0, 7, 'x'}
	mqttPuback  = []byte{0x40, 2, 0, 7}
)

// certified tells devices by certificate alone, and takes everything.
type certified struct {
	pool  *x509.CertPool
	lasts time.Duration // 0: for ever
	from  atomic.Pointer[mqtt.Publication]
}

func (h *certified) Identify(_ context.Context, cs tls.ConnectionState, _ mqtt.Credentials) (policy.Device, error) {
	if len(cs.PeerCertificates) == 0 {
		return policy.Device{}, nil
	}
	d, err := transport.VerifyDevice(cs.PeerCertificates, h.pool, testDomain, nil, time.Time{})
	if h.lasts > 0 {
		d.Until = time.Now().Add(h.lasts)
	}
	return d, err
}

func (h *certified) Ordered(*mqtt.Publication) bool { return true }

func (h *certified) Subscribe(policy.Device, string) bool { return true }

func (h *certified) Changed(string) {}

func (h *certified) Publish(_ context.Context, p *mqtt.Publication) mqtt.Verdict {
	h.from.Store(p)
	return mqtt.Verdict{}
}

func newMQTTBench(t *testing.T, change func(*Config)) (*bench, *certified) {
	h := &certified{}
	server := must[*mqtt.Server](t)(mqtt.New(mqtt.Config{Handler: h}))
	t.Cleanup(server.Close)
	port := must[net.Listener](t)(net.Listen("tcp4", "127.0.0.1:0"))
	b := newBench(t, hello, func(c *Config) {
		h.pool = c.ClientCAs()
		c.MQTT, c.MQTTListener, c.ClientAuth = server, port, Optional
		if change != nil {
			change(c)
		}
	})
	b.mqtt = port.Addr().String()
	return b, h
}

// dialMQTT opens a connection of a kind, as a device.
func (b *bench) dialMQTT(t *testing.T, kind string) net.Conn {
	t.Helper()
	conf := b.clientTLS(b.device(t, "d1"))
	switch kind {
	case "tls":
		return must[net.Conn](t)(tls.Dial("tcp", b.tcp, conf))
	case "tls with alpn":
		conf.NextProtos = []string{"mqtt"}
		return must[net.Conn](t)(tls.Dial("tcp", b.tcp, conf))
	case "own port":
		return must[net.Conn](t)(tls.Dial("tcp", b.mqtt, conf))
	case "websocket":
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: conf}}
		ws, rsp, err := websocket.Dial(t.Context(), "wss://"+b.tcp+"/mqtt", &websocket.DialOptions{HTTPClient: client, Subprotocols: []string{"mqtt"}})
		if err != nil {
			t.Fatalf("%v: %+v", err, rsp)
		}
		conn := websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
		t.Cleanup(func() { _ = ws.CloseNow() })
		return conn
	}
	conf.NextProtos = []string{"mqtt"}
	conn, err := b.dialQUIC(t, conf)
	check(t, err)
	stream, err := conn.OpenStream()
	check(t, err)
	return &streamConn{stream, conn}
}

var mqttLinks = []string{"tls", "tls with alpn", "own port", "websocket", "quic"}

func exchangeMQTT(t *testing.T, conn net.Conn, send, want []byte) {
	t.Helper()
	check(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err := conn.Write(send)
	check(t, err)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("got %x, want %x: %v", got, want, err)
	}
}

func TestMQTTIsServedBesideHTTP(t *testing.T) {
	b, h := newMQTTBench(t, nil)
	each(t, mqttLinks, func(t *testing.T, kind string) {
		conn := b.dialMQTT(t, kind)
		defer conn.Close()
		exchangeMQTT(t, conn, mqttConnect, mqttConnack)
		exchangeMQTT(t, conn, mqttPublish, mqttPuback)
		p := h.from.Swap(nil)
		if p == nil || p.Device.ID != "d1" || p.Device.Properties["tenant"] != "acme" || p.Host != testHost || p.Client == nil {
			t.Errorf("%+v", p)
		}
	})
	each(t, protocols, func(t *testing.T, proto string) {
		if rsp, _ := get(t, b.client(t, proto), "/"); rsp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", proto, rsp.StatusCode)
		}
	})
}

// Clients that offer no ALPN are told apart by their first byte; those of HTTP
// have their certificate all the same.
func TestHTTPWithoutALPNIsServed(t *testing.T) {
	b, _ := newMQTTBench(t, func(c *Config) {
		c.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d, _ := DeviceFrom(r.Context())
			fmt.Fprint(w, d.ID, " ", r.TLS != nil)
		})
	})
	conn := must[*tls.Conn](t)(tls.Dial("tcp", b.tcp, b.clientTLS(b.device(t, "d1"))))
	defer conn.Close()
	r := bufio.NewReader(conn)
	for range 2 {
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", testHost)
		rsp := must[*http.Response](t)(http.ReadResponse(r, nil))
		if body := string(must[[]byte](t)(io.ReadAll(rsp.Body))); body != "d1 true" {
			t.Errorf("%q", body)
		}
	}
}

func TestARevokedDeviceLosesItsMQTTConnection(t *testing.T) {
	var revoked atomic.Bool
	b, _ := newMQTTBench(t, func(c *Config) { c.Revoked = func(policy.Device) bool { return revoked.Load() } })
	each(t, mqttLinks, func(t *testing.T, kind string) { b.losesMQTT(t, kind, &revoked) })
}

func TestAnMQTTConnectionEndsWithWhatTheDeviceShowed(t *testing.T) {
	b, h := newMQTTBench(t, nil)
	h.lasts = 300 * time.Millisecond
	each(t, mqttLinks, func(t *testing.T, kind string) {
		conn := b.dialMQTT(t, kind)
		defer conn.Close()
		exchangeMQTT(t, conn, mqttConnect, mqttConnack)
		if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Errorf("not ended: %v", err)
		}
		eventually(t, "it is forgotten", func() bool { return b.Connections() == 0 })
	})
}

// losesMQTT expects that a connection ends when its device is revoked.
func (b *bench) losesMQTT(t *testing.T, kind string, revoked *atomic.Bool) {
	t.Helper()
	conn := b.dialMQTT(t, kind)
	defer conn.Close()
	exchangeMQTT(t, conn, mqttConnect, mqttConnack)
	revoked.Store(true)
	defer revoked.Store(false)
	if n := b.Expel(); n != 1 {
		t.Errorf("%d connections", n)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("not ended: %v", err)
	}
	eventually(t, "it is forgotten", func() bool { return b.Connections() == 0 })
}

func TestARevokedCertificateOpensNothingAndLosesWhatItHas(t *testing.T) {
	var revoked atomic.Bool
	entered := make(chan struct{}, 1)
	b, _ := newMQTTBench(t, func(c *Config) {
		c.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			entered <- struct{}{}
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		})
		c.RevokedCertificate = func(*x509.Certificate) bool { return revoked.Load() }
	})
	cert := b.device(t, "d1")
	each(t, protocols, func(t *testing.T, proto string) {
		done, client := make(chan error, 1), b.client(t, proto, cert)
		go func() {
			_, err := client.Get(url("/"))
			done <- err
		}()
		<-entered
		revoked.Store(true)
		defer revoked.Store(false)
		if n := b.Expel(); n != 1 {
			t.Errorf("%d connections", n)
		}
		if err := <-done; err == nil {
			t.Error("answered")
		}
		if _, err := client.Get(url("/")); err == nil {
			t.Error("a new connection is answered")
		}
		eventually(t, "all are closed", func() bool { return b.Connections() == 0 })
	})
	each(t, mqttLinks, func(t *testing.T, kind string) { b.losesMQTT(t, kind, &revoked) })
}

// One that is revoked while it shakes hands is found, whoever looks first.
func TestACertificateRevokedDuringTheHandshakeOpensNothing(t *testing.T) {
	each(t, protocols, func(t *testing.T, proto string) {
		var looks atomic.Int32
		b := newBench(t, hello, func(c *Config) {
			c.ClientAuth = Optional
			c.RevokedCertificate = func(*x509.Certificate) bool { return looks.Add(1) > 1 }
		})
		if rsp, err := b.client(t, proto, b.device(t, "d1")).Get(url("/")); err == nil {
			t.Errorf("answered %d", rsp.StatusCode)
		}
	})
}

// What has not said yet what it speaks holds nobody up: neither a drain nor a
// close.
func TestSilentConnectionsDoNotHoldUpTheEnd(t *testing.T) {
	for name, end := range map[string]func(*bench) error{
		"close": (*bench).Close,
		"drain": func(b *bench) error { return b.Shutdown(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := newMQTTBench(t, nil)
			idle := b.dialMQTT(t, "own port")
			defer idle.Close()
			exchangeMQTT(t, idle, mqttConnect, mqttConnack)
			raw := must[net.Conn](t)(net.Dial("tcp", b.tcp))
			defer raw.Close()
			silent := b.dialMQTT(t, "tls")
			defer silent.Close()
			conf := b.clientTLS(b.device(t, "d2"))
			conf.NextProtos = []string{"mqtt"}
			conn, err := b.dialQUIC(t, conf) // and opens no stream
			check(t, err)
			eventually(t, "all are there", func() bool { return b.Connections() == 4 })
			began := time.Now()
			if err := end(b); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > 5*time.Second { // of the ten that they have to say something
				t.Errorf("took %s", took)
			}
			if _, err := conn.AcceptStream(t.Context()); err == nil {
				t.Error("the connection is still there")
			}
		})
	}
}

func TestWebSocketsAreForMQTTAlone(t *testing.T) {
	b, _ := newMQTTBench(t, nil)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: b.clientTLS(b.device(t, "d1"))}}
	defer client.CloseIdleConnections()
	for name, opt := range map[string]*websocket.DialOptions{
		"no subprotocol":        {HTTPClient: client},
		"another subprotocol":   {HTTPClient: client, Subprotocols: []string{"chat"}},
		"a page from elsewhere": {HTTPClient: client, Subprotocols: []string{"mqtt"}, HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}}},
	} {
		ws, _, err := websocket.Dial(t.Context(), "wss://"+b.tcp+"/mqtt", opt)
		if err != nil {
			continue
		}
		_ = ws.Write(t.Context(), websocket.MessageBinary, mqttConnect)
		if _, _, err := ws.Read(t.Context()); err == nil {
			t.Errorf("%s: answered", name)
		}
		_ = ws.CloseNow()
	}
	if _, _, err := websocket.Dial(t.Context(), "wss://"+b.tcp+"/elsewhere", &websocket.DialOptions{HTTPClient: client, Subprotocols: []string{"mqtt"}}); err == nil {
		t.Error("another path is served")
	}
}

func TestMQTTConnectionsDrain(t *testing.T) {
	each(t, mqttLinks, func(t *testing.T, kind string) {
		b, _ := newMQTTBench(t, nil)
		conn := b.dialMQTT(t, kind)
		defer conn.Close()
		five := bytes.Clone(mqttConnect)
		five = append(append([]byte{0x10, 15}, five[2:12]...), 0, 0, 2, 'c', '1')
		five[8] = 5
		check(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
		_, err := conn.Write(five)
		check(t, err)
		head := make([]byte, 2)
		_, err = io.ReadFull(conn, head)
		check(t, err)
		_, err = io.ReadFull(conn, make([]byte, head[1]))
		check(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		read := make(chan []byte)
		go func() {
			rest, _ := io.ReadAll(conn)
			read <- rest
		}()
		check(t, b.Shutdown(ctx))
		if rest := <-read; len(rest) < 3 || rest[0] != 0xe0 || rest[2] != 0x8b {
			t.Errorf("%x, not DISCONNECT: server shutting down", rest)
		}
	})
}

// A connection that shakes hands and says nothing is closed.
func TestWhoSaysNothingAfterTheHandshakeIsClosed(t *testing.T) {
	b, _ := newMQTTBench(t, func(c *Config) { c.Limits.HeaderTimeout = 200 * time.Millisecond })
	each(t, mqttLinks[:1], func(t *testing.T, kind string) {
		conn := b.dialMQTT(t, kind)
		defer conn.Close()
		check(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
		if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Errorf("%v", err)
		}
	})
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}
