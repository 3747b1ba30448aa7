package device

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/quic-go/quic-go"

	"github.com/tidegate/tidegate/transport"
)

// town is where tests find agents: an authority, and what devices need to trust
// them.
type town struct {
	authority *transport.Authority
	server    *tls.Config
	device    *tls.Config
}

func newTown(t testing.TB) *town {
	t.Helper()
	authority := must[*transport.Authority](t)(transport.NewAuthority("test", "device.test", time.Hour))
	cert := must[tls.Certificate](t)(must[transport.Issued](t)(authority.IssueEdge([]string{"127.0.0.1"}, time.Hour)).TLS())
	own := must[tls.Certificate](t)(must[transport.Issued](t)(authority.IssueDevice("d1", nil, time.Hour)).TLS())
	return &town{
		authority: authority,
		server:    &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: authority.Pool(), ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13},
		device:    &tls.Config{Certificates: []tls.Certificate{own}, RootCAs: authority.Pool()},
	}
}

// broker is an agent that does what a test says, over real QUIC and TLS, with
// paho's packets.
type broker struct {
	addr   string
	udp    net.PacketConn
	tcp    net.Listener
	script script

	mu        sync.Mutex
	connects  []*packets.Connect
	published []*packets.Publish
	open      map[io.Closer]func()
	wires     []string
	hushed    bool
}

// script is what a broker does. Nil fields are what a good one does.
type script struct {
	connect func(n int, p *packets.Connect) *packets.Connack                   // n-th
	publish func(n int, p *packets.Publish, say func(encoder)) *packets.Puback // nil: it says nothing
	suback  func(*packets.Subscribe) *packets.Suback
	greet   func(say func(encoder)) // after CONNACK
	puback  func(*packets.Puback)
}

func (w *town) broker(t testing.TB, s script) *broker {
	t.Helper()
	b := &broker{script: s, open: map[io.Closer]func(){}}
	for range 10 { // one port for both
		b.tcp = must[net.Listener](t)(net.Listen("tcp4", "127.0.0.1:0"))
		b.addr = b.tcp.Addr().String()
		var err error
		if b.udp, err = net.ListenPacket("udp4", b.addr); err == nil {
			break
		}
		_ = b.tcp.Close()
	}
	conf := w.server.Clone()
	conf.NextProtos = []string{"mqtt"}
	tr := &quic.Transport{Conn: b.udp}
	listener := must[*quic.Listener](t)(tr.Listen(conf, &quic.Config{MaxIdleTimeout: time.Minute}))
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept(ctx)
			if err != nil {
				return
			}
			serving.Go(func() {
				if stream, err := conn.AcceptStream(ctx); err == nil {
					b.serve("quic", stream, stream, func() { _ = conn.CloseWithError(0, "") })
				}
				_ = conn.CloseWithError(0, "")
			})
		}
	})
	serving.Go(func() {
		for {
			conn, err := b.tcp.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				c := tls.Server(conn, conf)
				if c.HandshakeContext(ctx) == nil {
					b.serve("tcp", c, c, func() { _ = conn.Close() })
				}
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		b.cut()
		_, _, _ = listener.Close(), tr.Close(), b.udp.Close()
		_ = b.tcp.Close()
		serving.Wait()
	})
	return b
}

// cut ends all connections.
func (b *broker) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, end := range b.open {
		end()
	}
}

// hush reads nothing more over QUIC, and says so; what else it says is read yet.
func (b *broker) hush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hushed = true
	for c := range b.open {
		if stream, ok := c.(*quic.Stream); ok {
			stream.CancelRead(0)
		}
	}
}

func (b *broker) serve(wire string, rw io.ReadWriter, closer io.Closer, end func()) {
	b.mu.Lock()
	b.open[closer] = end
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.open, closer)
		hushed := b.hushed
		b.mu.Unlock()
		if hushed {
			time.Sleep(wordTime)
		}
		_ = closer.Close()
	}()
	var writing sync.Mutex
	say := func(p encoder) {
		writing.Lock()
		defer writing.Unlock()
		_, _ = rw.Write(encode(p))
	}
	in := bufio.NewReader(rw)
	for {
		p, err := readPacket(in)
		if err != nil {
			return
		}
		if !b.take(wire, p, say) {
			return
		}
	}
}

func (b *broker) take(wire string, p *packets.ControlPacket, say func(encoder)) bool {
	switch p := p.Content.(type) {
	case *packets.Connect:
		b.mu.Lock()
		b.connects, b.wires = append(b.connects, p), append(b.wires, wire)
		n := len(b.connects)
		b.mu.Unlock()
		answer := &packets.Connack{Properties: &packets.Properties{}}
		if b.script.connect != nil {
			answer = b.script.connect(n, p)
		}
		if answer == nil {
			return true
		}
		if say(answer); answer.ReasonCode >= 0x80 {
			time.Sleep(50 * time.Millisecond) // or a QUIC connection ends before it is read
			return false
		}
		if b.script.greet != nil {
			b.script.greet(say)
		}
	case *packets.Publish:
		b.mu.Lock()
		b.published = append(b.published, p)
		n := len(b.published)
		b.mu.Unlock()
		answer := &packets.Puback{PacketID: p.PacketID, Properties: &packets.Properties{}}
		if b.script.publish != nil {
			answer = b.script.publish(n, p, say)
		}
		if answer != nil {
			say(answer)
		}
	case *packets.Subscribe:
		answer := &packets.Suback{PacketID: p.PacketID, Properties: &packets.Properties{}, Reasons: make([]byte, len(p.Subscriptions))}
		if b.script.suback != nil {
			answer = b.script.suback(p)
		}
		say(answer)
	case *packets.Puback:
		if b.script.puback != nil {
			b.script.puback(p)
		}
	case *packets.Pingreq:
		say(&packets.Pingresp{})
	case *packets.Disconnect:
		return false
	}
	return true
}

// ids are the ce-ids of what was published, in order.
func (b *broker) ids() (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.published {
		all = append(all, p.Properties.User[0].Value)
	}
	return all
}

// sent is the n-th message that came, from 0.
func (b *broker) sent(n int) *packets.Publish {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.published[n]
}

// greeting is the n-th CONNECT that came, from 0.
func (b *broker) greeting(n int) *packets.Connect {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.connects[n]
}

func (b *broker) connected() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.connects)
}

func puback0(p *packets.Publish, code byte) *packets.Puback {
	return &packets.Puback{PacketID: p.PacketID, ReasonCode: code, Properties: &packets.Properties{ReasonString: "because"}}
}

// quick is a configuration for tests on one machine.
func (w *town) quick(brokers ...*broker) Config {
	cfg := Config{TLS: w.device, Silence: 300 * time.Millisecond, Backoff: 50 * time.Millisecond, Stagger: 100 * time.Millisecond, DialTimeout: 2 * time.Second}
	for i, b := range brokers {
		cfg.Endpoints = append(cfg.Endpoints, Endpoint{b.addr, fmt.Sprint("region-", i)})
	}
	return cfg
}

func open(t testing.TB, cfg Config) *Client {
	t.Helper()
	c := must[*Client](t)(Open(cfg))
	t.Cleanup(func() { shut(c) })
	return c
}

// shut closes a client, whatever is left in its outbox.
func shut(c *Client) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_ = c.Close(ctx)
}

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}
