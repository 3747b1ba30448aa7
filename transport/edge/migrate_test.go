package edge

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// mover is a device whose packets come from another address once it has moved.
type mover struct {
	conn *quic.Conn
	to   string // where it is then
	move func() error
}

// elsewhere is an address of this machine that counts as another source.
var elsewhere = net.IPv4(127, 0, 0, 2)

// moves are the two ways: the device takes another network and says so, or its
// NAT forgets it.
var moves = map[string]func(*bench, *testing.T, string) *mover{"migration": migrating, "NAT rebinding": rebound}

func migrating(b *bench, t *testing.T, alpn string) *mover {
	conf := b.clientTLS(b.device(t, "d1"))
	conf.NextProtos = []string{alpn}
	conn, err := b.dial(t, conf, &quic.Config{})
	check(t, err)
	socket := must[*net.UDPConn](t)(net.ListenUDP("udp4", &net.UDPAddr{IP: elsewhere}))
	other := &quic.Transport{Conn: socket}
	t.Cleanup(func() { other.Close(); socket.Close() })
	return &mover{conn: conn, to: socket.LocalAddr().String(), move: func() error {
		path, err := conn.AddPath(other)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := path.Probe(ctx); err != nil {
			return err
		}
		return path.Switch()
	}}
}

func rebound(b *bench, t *testing.T, alpn string) *mover {
	n := newNAT(t, b.udp)
	conf := b.clientTLS(b.device(t, "d1"))
	conf.NextProtos = []string{alpn}
	behind := *b
	behind.udp = n.inside.LocalAddr().(*net.UDPAddr)
	conn, err := behind.dial(t, conf, &quic.Config{})
	check(t, err)
	return &mover{conn: conn, to: n.ways[1].LocalAddr().String(), move: func() error { n.way.Store(1); return nil }}
}

// nat passes packets between one device and the edge, from one of two addresses.
type nat struct {
	inside *net.UDPConn
	ways   [2]*net.UDPConn
	way    atomic.Int32
	device atomic.Pointer[net.UDPAddr]
}

func newNAT(t *testing.T, edge *net.UDPAddr) *nat {
	open := func(ip net.IP) *net.UDPConn {
		return must[*net.UDPConn](t)(net.ListenUDP("udp4", &net.UDPAddr{IP: ip}))
	}
	n := &nat{inside: open(net.IPv4(127, 0, 0, 1)), ways: [2]*net.UDPConn{open(net.IPv4(127, 0, 0, 1)), open(elsewhere)}}
	var pumps sync.WaitGroup
	pumps.Go(func() {
		pump(n.inside, func(packet []byte, from *net.UDPAddr) {
			n.device.Store(from)
			_, _ = n.ways[n.way.Load()].WriteTo(packet, edge)
		})
	})
	for i, way := range n.ways {
		pumps.Go(func() {
			pump(way, func(packet []byte, _ *net.UDPAddr) {
				if int(n.way.Load()) == i { // a mapping that was forgotten lets nothing in
					_, _ = n.inside.WriteTo(packet, n.device.Load())
				}
			})
		})
	}
	t.Cleanup(func() {
		for _, c := range []*net.UDPConn{n.inside, n.ways[0], n.ways[1]} {
			c.Close()
		}
		pumps.Wait()
	})
	return n
}

func pump(from *net.UDPConn, pass func([]byte, *net.UDPAddr)) {
	packet := make([]byte, 64<<10)
	for {
		n, addr, err := from.ReadFromUDP(packet)
		if err != nil {
			return
		}
		pass(packet[:n], addr)
	}
}

func eachMove(t *testing.T, f func(t *testing.T, start func(*bench, *testing.T, string) *mover)) {
	for name, start := range moves {
		t.Run(name, func(t *testing.T) { f(t, start) })
	}
}

// follows expects that all that counts by address has followed the device, and
// that it did not have to come anew.
func (b *bench) follows(t *testing.T) {
	t.Helper()
	eventually(t, "the source's count follows", func() bool {
		return b.connectionsFrom(elsewhere) == 1 && b.connectionsFrom(net.IPv4(127, 0, 0, 1)) == 0
	})
	if testutil.ToFloat64(b.metrics.migrations) != 1 || b.handshakes(protoQUIC, handshakeDone) != 1 || b.Connections() != 1 {
		t.Errorf("%v moves, %v handshakes, %d connections", testutil.ToFloat64(b.metrics.migrations), b.handshakes(protoQUIC, handshakeDone), b.Connections())
	}
}

func (b *bench) connectionsFrom(ip net.IP) int {
	b.gate.mu.Lock()
	defer b.gate.mu.Unlock()
	return b.gate.bySource[sourceOf(&net.UDPAddr{IP: ip})]
}

func TestAnUploadGoesOnWhenItsDeviceMoves(t *testing.T) {
	eachMove(t, func(t *testing.T, start func(*bench, *testing.T, string) *mover) {
		b := newBench(t, func(w http.ResponseWriter, r *http.Request) {
			sum := crc32.NewIEEE()
			n, err := io.Copy(sum, r.Body)
			fmt.Fprint(w, r.RemoteAddr, " ", n, " ", sum.Sum32(), " ", err)
		}, func(c *Config) { c.ClientAuth = Required; c.Limits.HeaderTimeout = 2 * time.Second })
		m := start(b, t, "h3")
		client := (&http3.Transport{}).NewClientConn(m.conn)
		chunk := bytes.Repeat([]byte("telemetry"), 1000)
		const chunks, half = 60, 30
		up, feed := io.Pipe()
		go func() {
			for i := range chunks {
				if i == half {
					if err := m.move(); err != nil {
						feed.CloseWithError(err)
						return
					}
				}
				_, _ = feed.Write(chunk)
			}
			feed.Close()
		}()
		req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodPost, url("/"), up))
		answer := read3(t, client, req)
		sum := crc32.ChecksumIEEE(bytes.Repeat(chunk, chunks))
		if want := fmt.Sprint(" ", chunks*len(chunk), " ", sum, " <nil>"); !strings.HasSuffix(answer, want) {
			t.Errorf("%q, want it to end in %q", answer, want)
		}
		b.follows(t)
		next := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, url("/"), nil))
		if answer := read3(t, client, next); !strings.HasPrefix(answer, m.to+" ") {
			t.Errorf("the next request came from %s, want %s", answer, m.to)
		}
	})
}

func read3(t *testing.T, client *http3.ClientConn, req *http.Request) string {
	t.Helper()
	rsp := must[*http.Response](t)(client.RoundTrip(req))
	defer rsp.Body.Close()
	return string(must[[]byte](t)(io.ReadAll(rsp.Body)))
}

func TestAnMQTTSessionGoesOnWhenItsDeviceMoves(t *testing.T) {
	eachMove(t, func(t *testing.T, start func(*bench, *testing.T, string) *mover) {
		b, h := newMQTTBench(t, func(c *Config) { c.Limits.HeaderTimeout = 2 * time.Second })
		m := start(b, t, "mqtt")
		conn := &streamConn{must[*quic.Stream](t)(m.conn.OpenStream()), m.conn}
		exchangeMQTT(t, conn, mqttConnect, mqttConnack)
		for i := range byte(40) {
			if i == 20 {
				check(t, m.move())
			}
			publish, puback := bytes.Clone(mqttPublish), bytes.Clone(mqttPuback)
			publish[6], puback[3] = i+1, i+1
			exchangeMQTT(t, conn, publish, puback)
		}
		b.follows(t)
		exchangeMQTT(t, conn, mqttPublish, mqttPuback)
		if p := h.from.Load(); p.Client.String() != m.to {
			t.Errorf("published from %s, want %s", p.Client, m.to)
		}
	})
}

// A source with as many connections as it may have keeps those that move to it,
// and gets no new ones.
func TestADeviceMayMoveToASourceThatIsFull(t *testing.T) {
	l := DefaultLimits()
	l.ConnectionsPerSource = 1
	g := newGate(l, must[*metrics](t)(newMetrics(nil)))
	places := []*place{{proto: protoQUIC}, {proto: protoQUIC}, {proto: protoQUIC}}
	check(t, g.enter(places[0], sourceAt(1)))
	check(t, g.enter(places[1], sourceAt(2)))
	if !g.move(places[1], sourceAt(1)) || g.move(places[1], sourceAt(1)) {
		t.Error("a move is not told once")
	}
	check(t, g.enter(places[2], sourceAt(2)))
	g.leave(places[0])
	if err := g.enter(places[0], sourceAt(1)); err == nil {
		t.Error("the one that moved does not count")
	}
}
