package mqtt

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"go.uber.org/goleak"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// takes is a handler that keeps what it got and answers by a function.
type takes struct {
	answer  func(*Publication) Verdict // nil: accepts
	changes atomic.Int64
	hangs   bool // until the context ends, which is noted

	mu  sync.Mutex
	got []*Publication
	cut []string // payloads whose context ended
}

func (h *takes) Identify(_ context.Context, _ tls.ConnectionState, c Credentials) (policy.Device, error) {
	switch c.Password {
	case "wrong":
		return policy.Device{}, errors.New("wrong password")
	case "bug":
		panic("bug")
	case "many":
		return policy.Device{}, fmt.Errorf("%w: a test", transport.ErrBusy)
	}
	d := policy.Device{ID: c.Username}
	if left, err := time.ParseDuration(c.Password); err == nil {
		d.Until = time.Now().Add(left)
	}
	return d, nil
}

func (h *takes) Subscribe(d policy.Device, filter string) bool {
	return strings.HasPrefix(filter, "commands/"+d.ID) || strings.HasPrefix(filter, "open/")
}

func (h *takes) Changed(device string) { h.changes.Add(1) }

func (h *takes) Ordered(p *Publication) bool { return p.Topic != "any" }

func (h *takes) Publish(ctx context.Context, p *Publication) Verdict {
	h.mu.Lock()
	h.got = append(h.got, p)
	h.mu.Unlock()
	if h.hangs {
		<-ctx.Done()
		h.mu.Lock()
		h.cut = append(h.cut, string(p.Payload))
		h.mu.Unlock()
		return Verdict{Result: Failed, Code: UnspecifiedError}
	}
	if h.answer == nil {
		return Verdict{}
	}
	return h.answer(p)
}

func (h *takes) payloads() (all []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.got {
		all = append(all, string(p.Payload))
	}
	return all
}

func (h *takes) ids() (all []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.got {
		all = append(all, p.ID)
	}
	return all
}

// serving runs a test in virtual time, with a server.
func serving(t *testing.T, h Handler, l Limits, test func(t *testing.T, s *Server)) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Config{Handler: h, Limits: l})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		test(t, s)
	})
}

// device is the other end of a connection.
type device struct {
	t       *testing.T
	conn    net.Conn
	version byte
	got     chan *packets.Packet // closed at the end of the connection
	ack     *packets.Packet      // CONNACK
}

// call opens a connection and sends CONNECT, without waiting for the answer.
func call(t *testing.T, s *Server, version byte, change ...func(*packets.Packet)) *device {
	ours, theirs := net.Pipe()
	go s.Serve(&Link{Conn: theirs, TLS: &tls.ConnectionState{}})
	d := &device{t: t, conn: ours, version: version, got: make(chan *packets.Packet, 1000)}
	t.Cleanup(func() { _ = ours.Close() })
	go d.read()
	p := d.packet(packets.Connect)
	p.Connect = packets.ConnectParams{ProtocolName: []byte("MQTT"), ClientIdentifier: "c1", Clean: true, Keepalive: 60, UsernameFlag: true, Username: []byte("d1")}
	for _, c := range change {
		c(p)
	}
	d.send(p)
	return d
}

// connect is call, and an answer that says yes.
func connect(t *testing.T, s *Server, version byte, change ...func(*packets.Packet)) *device {
	t.Helper()
	d := call(t, s, version, change...)
	d.ack = d.want(packets.Connack)
	if d.ack.ReasonCode != 0 {
		t.Fatalf("CONNACK: %#x", d.ack.ReasonCode)
	}
	return d
}

// session is that of the device's connection.
func (d *device) session(s *Server) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[sessionKey{"d1", "c1"}]
}

func lasting(p *packets.Packet) {
	p.Connect.Clean = false
	p.Properties.SessionExpiryInterval, p.Properties.SessionExpiryIntervalFlag = 600, true
}

func (d *device) packet(kind byte) *packets.Packet {
	p := &packets.Packet{FixedHeader: packets.FixedHeader{Type: kind}, ProtocolVersion: d.version}
	if kind == packets.Pubrel || kind == packets.Subscribe || kind == packets.Unsubscribe {
		p.FixedHeader.Qos = 1
	}
	return p
}

func (d *device) send(p *packets.Packet) {
	var buf bytes.Buffer
	encoders := map[byte]func(*bytes.Buffer) error{
		packets.Connect: p.ConnectEncode, packets.Puback: p.PubackEncode, packets.Publish: p.PublishEncode, packets.Pubrel: p.PubrelEncode, packets.Subscribe: p.SubscribeEncode,
		packets.Unsubscribe: p.UnsubscribeEncode, packets.Pingreq: p.PingreqEncode, packets.Disconnect: p.DisconnectEncode, packets.Auth: p.AuthEncode,
	}
	if err := encoders[p.FixedHeader.Type](&buf); err != nil {
		d.t.Error(err)
	}
	d.write(buf.Bytes())
}

func (d *device) write(b []byte) { _, _ = d.conn.Write(b) }

func (d *device) publish(qos byte, id uint16, topic, payload string, change ...func(*packets.Packet)) {
	p := d.packet(packets.Publish)
	p.FixedHeader.Qos, p.PacketID, p.TopicName, p.Payload = qos, id, topic, []byte(payload)
	for _, c := range change {
		c(p)
	}
	d.send(p)
}

func again(p *packets.Packet) { p.FixedHeader.Dup = true }

func (d *device) read() {
	defer close(d.got)
	r := bufio.NewReader(d.conn)
	for {
		p, err := receive(r, d.version)
		if err != nil {
			return
		}
		d.got <- p
	}
}

func receive(r *bufio.Reader, version byte) (*packets.Packet, error) {
	p, body, err := readFrame(r, version, 1<<20)
	if err != nil {
		return nil, err
	}
	decoders := map[byte]func([]byte) error{
		packets.Connack: p.ConnackDecode, packets.Publish: p.PublishDecode, packets.Puback: p.PubackDecode, packets.Pubrec: p.PubrecDecode, packets.Pubcomp: p.PubcompDecode,
		packets.Suback: p.SubackDecode, packets.Unsuback: p.UnsubackDecode, packets.Pingresp: p.PingrespDecode, packets.Disconnect: p.DisconnectDecode,
	}
	return p, decoders[p.FixedHeader.Type](body)
}

// next returns the next packet; nil at the end of the connection.
func (d *device) next() *packets.Packet {
	d.t.Helper()
	select {
	case p := <-d.got:
		return p
	case <-time.After(time.Hour):
		d.t.Fatal("nothing comes")
		return nil
	}
}

func (d *device) want(kind byte) *packets.Packet {
	d.t.Helper()
	p := d.next()
	if p == nil {
		d.t.Fatalf("the connection ended, instead of %s", packets.PacketNames[kind])
	}
	if p.FixedHeader.Type != kind {
		d.t.Fatalf("%s %#x, not %s", packets.PacketNames[p.FixedHeader.Type], p.ReasonCode, packets.PacketNames[kind])
	}
	return p
}

// wantAck is an acknowledgement of a packet with a code.
func (d *device) wantAck(kind byte, id uint16, code byte) {
	d.t.Helper()
	if p := d.want(kind); p.PacketID != id || p.ReasonCode != code {
		d.t.Fatalf("%s of %d: %#x, not of %d: %#x", packets.PacketNames[kind], p.PacketID, p.ReasonCode, id, code)
	}
}

func (d *device) wantEnd(code packets.Code) {
	d.t.Helper()
	if d.version == 5 && code.Code != 0 {
		if p := d.want(packets.Disconnect); p.ReasonCode != code.Code {
			d.t.Fatalf("DISCONNECT %#x, not %#x", p.ReasonCode, code.Code)
		}
	}
	if p := d.next(); p != nil {
		d.t.Fatalf("%s, not the end", packets.PacketNames[p.FixedHeader.Type])
	}
}

func (d *device) wantNothing() {
	d.t.Helper()
	synctest.Wait()
	select {
	case p := <-d.got:
		d.t.Fatalf("unexpected: %+v", p)
	default:
	}
}

func (d *device) leave() {
	d.send(d.packet(packets.Disconnect))
	for range d.got {
	}
}

// vanish ends the connection without a word.
func (d *device) vanish() {
	_ = d.conn.Close()
	for range d.got {
	}
	synctest.Wait()
}
