package edge

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
)

var (
	behindProxy = &net.TCPAddr{IP: net.IPv4(198, 51, 100, 7), Port: 4711}
	atBalancer  = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7443}
	loopback    = netip.MustParsePrefix("127.0.0.0/8")
)

func proxyHeader(t testing.TB, device net.Addr, tlvs ...proxyproto.TLV) []byte {
	t.Helper()
	h := proxyproto.HeaderProxyFromAddrs(2, device, atBalancer)
	check(t, h.SetTLVs(tlvs))
	return must[[]byte](t)(h.Format())
}

func TestProxyHeadersAreReadStrictly(t *testing.T) {
	device6 := &net.TCPAddr{IP: net.ParseIP("2001:db8::7"), Port: 4711}
	six := proxyproto.HeaderProxyFromAddrs(2, device6, &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 7443})
	valid := proxyHeader(t, behindProxy)
	changed := func(at int, to byte) []byte {
		b := bytes.Clone(valid)
		b[at] = to
		return b
	}
	for name, c := range map[string]struct {
		header []byte
		want   string // "": refused
	}{
		"IPv4":                   {valid, "198.51.100.7:4711"},
		"IPv6":                   {must[[]byte](t)(six.Format()), "[2001:db8::7]:4711"},
		"with more":              {proxyHeader(t, behindProxy, proxyproto.TLV{Type: proxyproto.PP2_TYPE_NOOP, Value: make([]byte, 1000)}), "198.51.100.7:4711"},
		"the balancer's own":     {changed(12, 0x20), "<nil>"},
		"the balancer's, bare":   {append(bytes.Clone(proxyproto.SIGV2), 0x20, 0, 0, 0), "<nil>"},
		"version 1":              {[]byte("PROXY TCP4 198.51.100.7 127.0.0.1 4711 7443\r\n"), ""},
		"TLS":                    {append([]byte{0x16, 3, 1, 2, 0}, make([]byte, 40)...), ""},
		"another version":        {changed(12, 0x31), ""},
		"an unknown command":     {changed(12, 0x22), ""},
		"an unknown family":      {changed(13, 0x41), ""},
		"UDP":                    {changed(13, 0x12), ""},
		"no address":             {changed(13, 0), ""},
		"too short for its kind": {append(bytes.Clone(valid[:14]), 0, 4, 1, 2, 3, 4), ""},
		"cut off":                {valid[:20], ""},
		"too long":               {proxyHeader(t, behindProxy, proxyproto.TLV{Type: proxyproto.PP2_TYPE_NOOP, Value: make([]byte, proxyMost)}), ""},
		"nothing":                {nil, ""},
	} {
		r := bytes.NewReader(append(bytes.Clone(c.header), "rest"...))
		if name == "cut off" || name == "nothing" {
			r = bytes.NewReader(c.header)
		}
		device, err := readProxy(r)
		if c.want == "" {
			if err == nil {
				t.Errorf("%s: taken, from %v", name, device)
			}
			continue
		}
		if rest := must[[]byte](t)(io.ReadAll(r)); err != nil || fmt.Sprint(device) != c.want || string(rest) != "rest" {
			t.Errorf("%s: %v, %v, then %q", name, device, err, rest)
		}
	}
}

func FuzzProxyHeader(f *testing.F) {
	f.Add(proxyHeader(f, behindProxy))
	f.Add(proxyHeader(f, behindProxy, proxyproto.TLV{Type: proxyproto.PP2_TYPE_NOOP, Value: []byte("x")}))
	f.Add(append(bytes.Clone(proxyproto.SIGV2), 0x20, 0, 0, 0))
	f.Add([]byte("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		device, err := readProxy(r)
		if err != nil {
			return
		}
		if read := len(b) - r.Len(); read != proxyFixed+int(b[14])<<8+int(b[15]) {
			t.Fatalf("%d bytes were read", read)
		}
		if device != nil && !sourceOf(device).IsValid() {
			t.Fatalf("%v counts nowhere", device)
		}
	})
}

// through is a connection that a balancer passed on.
func through(t *testing.T, addr string, header []byte) net.Conn {
	t.Helper()
	conn := must[net.Conn](t)(net.Dial("tcp", addr))
	t.Cleanup(func() { conn.Close() })
	check(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	must[int](t)(conn.Write(header))
	return conn
}

// remote answers with the address that a request came from.
func remote(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RemoteAddr) }

func TestABalancerSaysWhoseAConnectionIs(t *testing.T) {
	b, h := newMQTTBench(t, func(c *Config) {
		c.Handler, c.ProxyFrom = http.HandlerFunc(remote), []netip.Prefix{loopback}
	})
	each(t, []string{"h1", "h2"}, func(t *testing.T, proto string) {
		client := b.client(t, proto)
		client.Transport.(*http.Transport).DialContext = b.dialThrough(t, proxyHeader(t, behindProxy))
		if _, body := get(t, client, "/"); body != behindProxy.String() {
			t.Errorf("came from %s", body)
		}
		if n := b.connectionsFrom(behindProxy.IP); n != 1 || b.connectionsFrom(atBalancer.IP) != 0 {
			t.Errorf("%d connections of the device, %d of the balancer", n, b.connectionsFrom(atBalancer.IP))
		}
		client.CloseIdleConnections()
		eventually(t, "its place is given back", func() bool { return b.Connections() == 0 })
	})
	for name, addr := range map[string]string{"MQTT": b.tcp, "MQTT on its own port": b.mqtt} {
		conn := tls.Client(through(t, addr, proxyHeader(t, behindProxy)), b.clientTLS(b.device(t, "d1")))
		exchangeMQTT(t, conn, mqttConnect, mqttConnack)
		exchangeMQTT(t, conn, mqttPublish, mqttPuback)
		if p := h.from.Load(); p.Client.String() != behindProxy.String() {
			t.Errorf("%s: published from %s", name, p.Client)
		}
	}
	own := proxyproto.HeaderProxyFromAddrs(2, nil, nil)
	conn := tls.Client(through(t, b.tcp, must[[]byte](t)(own.Format())), b.h1TLS())
	must[int](t)(io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"))
	if answer := string(must[[]byte](t)(io.ReadAll(conn))); !strings.Contains(answer, "127.0.0.1:") {
		t.Errorf("the balancer's own request: %q", answer)
	}
}

func (b *bench) dialThrough(t *testing.T, header []byte) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) { return through(t, b.tcp, header), nil }
}

func (b *bench) h1TLS() *tls.Config {
	conf := b.clientTLS()
	conf.NextProtos = []string{"http/1.1"}
	return conf
}

// Who is not configured to speak for others is not believed, and who is has to.
func TestOnlyBalancersSayWhoseAConnectionIs(t *testing.T) {
	ends := func(t *testing.T, conn net.Conn) {
		t.Helper()
		if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
			t.Error("the edge kept waiting")
		}
	}
	t.Run("a device", func(t *testing.T) {
		b := newBench(t, remote, func(c *Config) { c.ProxyFrom = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
		ends(t, through(t, b.tcp, append(proxyHeader(t, behindProxy), make([]byte, 100)...)))
		if b.handshakes(protoTCP, handshakeFailed) != 1 || b.refused(reasonProxy) != 0 {
			t.Errorf("%v handshakes failed", b.handshakes(protoTCP, handshakeFailed))
		}
		if rsp, body := get(t, b.client(t, "h1"), "/"); rsp.StatusCode != http.StatusOK || !strings.HasPrefix(body, "127.0.0.1:") {
			t.Errorf("%d %s", rsp.StatusCode, body)
		}
	})
	t.Run("a balancer", func(t *testing.T) {
		b := newBench(t, remote, func(c *Config) {
			c.ProxyFrom, c.Limits.HeaderTimeout = []netip.Prefix{loopback}, 500*time.Millisecond
		})
		ends(t, through(t, b.tcp, []byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 1, 2, 3, 4, 5, 6})) // TLS at once
		ends(t, through(t, b.tcp, proxyHeader(t, behindProxy)[:20]))                                // and no more
		ends(t, through(t, b.tcp, nil))
		if b.refused(reasonProxy) != 3 {
			t.Errorf("%v counted", b.refused(reasonProxy))
		}
		eventually(t, "all have gone", func() bool { return b.Connections() == 0 })
	})
}

// A balancer is many sources, each with its own limit, and one that says nothing
// yet keeps nobody waiting.
func TestSourcesBehindABalancerHaveTheirOwnLimits(t *testing.T) {
	b := newBench(t, remote, func(c *Config) { c.ProxyFrom, c.Limits.ConnectionsPerSource = []netip.Prefix{loopback}, 2 })
	through(t, b.tcp, nil) // silent
	open := func(host byte) bool {
		conn := tls.Client(through(t, b.tcp, proxyHeader(t, &net.TCPAddr{IP: net.IPv4(198, 51, 100, host), Port: 1})), b.h1TLS())
		return conn.Handshake() == nil
	}
	for host := range byte(3) {
		for range 2 {
			if !open(host) {
				t.Errorf("a device of source %d was refused", host)
			}
		}
		if open(host) {
			t.Errorf("source %d has three connections", host)
		}
	}
	if b.refused(reasonSourceFull) != 3 {
		t.Errorf("%v counted", b.refused(reasonSourceFull))
	}
}
