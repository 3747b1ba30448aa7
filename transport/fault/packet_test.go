package fault

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/net/ipv4"
)

// tap counts writes that carry several segments, and packets read with a
// control message: on a socket bound to one address that is the ECN field.
type tap struct {
	*packetConn
	segmented, marked atomic.Int64
}

func (c *tap) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	n, err := c.packetConn.ReadBatch(ms, flags)
	for _, m := range ms[:n] {
		if m.NN > 0 {
			c.marked.Add(1)
		}
	}
	return n, err
}

func (c *tap) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (int, int, error) {
	if size := segmentSize(oob); size > 0 && size < len(b) {
		c.segmented.Add(1)
	}
	return c.packetConn.WriteMsgUDP(b, oob, addr)
}

// echoPair is an established QUIC connection over two decorated sockets.
type echoPair struct {
	client, server *tap
	conn           *quic.Conn
}

func dialEcho(t *testing.T, clientSwitch, serverSwitch *Switch) *echoPair {
	t.Helper()
	p := &echoPair{
		client: &tap{packetConn: PacketConn(udp(t), clientSwitch).(*packetConn)},
		server: &tap{packetConn: PacketConn(udp(t), serverSwitch).(*packetConn)},
	}
	serverTLS, clientTLS := tlsPair(t)
	config := &quic.Config{MaxIdleTimeout: 10 * time.Second, EnableDatagrams: true}
	serve(t, p.server, serverTLS, config)
	tr := &quic.Transport{Conn: p.client}
	conn, err := tr.Dial(t.Context(), p.server.LocalAddr(), clientTLS, config)
	must(t, err)
	p.conn = conn
	t.Cleanup(func() {
		conn.CloseWithError(0, "")
		tr.Close()
		p.client.Close()
	})
	return p
}

func serve(t *testing.T, pc net.PacketConn, config *tls.Config, qc *quic.Config) {
	t.Helper()
	tr := &quic.Transport{Conn: pc}
	ln, err := tr.Listen(config, qc)
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept(context.Background())
			if err != nil {
				return
			}
			go echo(conn)
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
		tr.Close()
		pc.Close()
	})
}

func echo(conn *quic.Conn) {
	for {
		s, err := conn.AcceptStream(context.Background())
		if err != nil {
			return
		}
		go func() {
			defer s.Close()
			_, _ = io.Copy(s, s)
		}()
	}
}

func (p *echoPair) roundTrip(t *testing.T, size int, limit time.Duration) (time.Duration, error) {
	t.Helper()
	start := time.Now()
	s, err := p.conn.OpenStream()
	must(t, err)
	must(t, s.SetDeadline(start.Add(limit)))
	defer s.CancelRead(0)
	go func() {
		_, _ = s.Write(make([]byte, size))
		s.Close()
	}()
	n, err := io.Copy(io.Discard, s)
	if err == nil && n != int64(size) {
		t.Fatalf("%d of %d bytes came back", n, size)
	}
	return time.Since(start), err
}

func (p *echoPair) received() uint64 { return p.conn.ConnectionStats().PacketsReceived }

func TestWithoutRulesAllPassesWithSegmentationAndECN(t *testing.T) {
	p := dialEcho(t, NewSwitch(nil), NewSwitch(nil))
	if _, err := p.roundTrip(t, 4<<20, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if p.client.marked.Load() == 0 || p.server.marked.Load() == 0 {
		t.Fatalf("no ECN fields: client %d, server %d", p.client.marked.Load(), p.server.marked.Load())
	}
	if !p.conn.ConnectionState().GSO {
		t.Skip("this kernel has no UDP segmentation")
	}
	if p.client.segmented.Load() == 0 || p.server.segmented.Load() == 0 {
		t.Fatalf("no segmented writes: client %d, server %d", p.client.segmented.Load(), p.server.segmented.Load())
	}
}

func TestTotalLossStopsAnEstablishedConnectionBothWays(t *testing.T) {
	for name, onClient := range map[string]bool{"rules at the client": true, "rules at the server": false} {
		t.Run(name, func(t *testing.T) {
			ruled := NewSwitch(nil)
			switches := [2]*Switch{ruled, NewSwitch(nil)}
			if !onClient {
				switches[0], switches[1] = switches[1], switches[0]
			}
			p := dialEcho(t, switches[0], switches[1])
			if _, err := p.roundTrip(t, 1<<20, 10*time.Second); err != nil {
				t.Fatal(err)
			}
			add(t, ruled, Rule{ID: "cut", Drop: 1})
			before := p.received()
			if _, err := p.roundTrip(t, 1000, 400*time.Millisecond); err == nil {
				t.Fatal("a stream got through")
			}
			// The client's own socket may have read a packet just before the cut.
			if got := p.received() - before; onClient && got > 1 || !onClient && got > batchInFlight {
				t.Fatalf("%d packets got through", got)
			}
			ruled.Clear()
			if _, err := p.roundTrip(t, 1<<20, 10*time.Second); err != nil {
				t.Fatalf("after the cut: %v", err)
			}
		})
	}
}

// batchInFlight is what may sit in the client's socket when the server is cut.
const batchInFlight = 16

func TestTotalLossPassesNotOnePacket(t *testing.T) {
	sw := NewSwitch(nil)
	decorated, outside := PacketConn(udp(t), sw).(*packetConn), udp(t)
	defer decorated.Close()
	add(t, sw, Rule{ID: "cut", Drop: 1})
	to := outside.LocalAddr().(*net.UDPAddr)
	for range 50 {
		_, err := decorated.WriteTo([]byte("out"), to)
		must(t, err)
		_, _, err = decorated.WriteMsgUDP([]byte("out"), nil, to)
		must(t, err)
		_, err = outside.WriteTo([]byte("in"), decorated.LocalAddr())
		must(t, err)
	}
	for _, conn := range []net.PacketConn{decorated, outside} {
		must(t, conn.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
		if _, _, err := conn.ReadFrom(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a packet passed: %v", err)
		}
	}
}

func TestRawDescriptorIsForOptionsOnly(t *testing.T) {
	c := PacketConn(udp(t), NewSwitch(nil)).(*packetConn)
	defer c.Close()
	raw, err := c.SyscallConn()
	must(t, err)
	if err := raw.Read(func(uintptr) bool { return true }); !errors.Is(err, ErrBypass) {
		t.Errorf("raw read: %v", err)
	}
	if err := raw.Write(func(uintptr) bool { return true }); !errors.Is(err, ErrBypass) {
		t.Errorf("raw write: %v", err)
	}
	called := false
	must(t, raw.Control(func(uintptr) { called = true }))
	if !called {
		t.Error("control is needed for options")
	}
	if _, isConn := any(c).(net.Conn); isConn {
		t.Error("a net.Conn would let quic-go unwrap the descriptor")
	}
}

func TestDelayShowsInRoundTripTime(t *testing.T) {
	sw := NewSwitch(nil)
	p := dialEcho(t, sw, sw)
	quick, err := p.roundTrip(t, 100, 5*time.Second)
	must(t, err)
	add(t, sw, Rule{ID: "slow", Delay: 60 * time.Millisecond})
	slow, err := p.roundTrip(t, 100, 5*time.Second)
	must(t, err)
	if slow < 120*time.Millisecond || quick > 100*time.Millisecond {
		t.Fatalf("round trip %v, then %v with 60 ms each way", quick, slow)
	}
	if slow > time.Second {
		t.Fatalf("round trip %v: the delay is charged more than once", slow)
	}
}

func TestConstantDelayKeepsOrder(t *testing.T) {
	for name, incoming := range map[string]bool{"sent": false, "received": true} {
		t.Run(name, func(t *testing.T) {
			sw := NewSwitch(nil)
			decorated, outside := PacketConn(udp(t), sw), udp(t)
			defer decorated.Close()
			add(t, sw, Rule{ID: "slow", Delay: 30 * time.Millisecond})
			from, to := net.PacketConn(decorated), net.PacketConn(outside)
			if incoming {
				from, to = to, from
			}
			const packets = 200
			start := time.Now()
			for i := range packets {
				_, err := from.WriteTo(binary.BigEndian.AppendUint32(nil, uint32(i)), to.LocalAddr())
				must(t, err)
			}
			must(t, to.SetReadDeadline(start.Add(5*time.Second)))
			for i := range packets {
				b := make([]byte, 8)
				_, _, err := to.ReadFrom(b)
				must(t, err)
				if got := binary.BigEndian.Uint32(b); got != uint32(i) {
					t.Fatalf("packet %d came as %d", got, i)
				}
			}
			if took := time.Since(start); took < 30*time.Millisecond {
				t.Fatalf("all came after %v", took)
			}
		})
	}
}

func TestLossIsDrawnForEachSegment(t *testing.T) {
	const segment, segments = 100, 2000
	b := make([]byte, segment*segments-40)
	for i := range segments {
		binary.BigEndian.PutUint32(b[i*segment:], uint32(i))
	}
	left := survivors(b, segment, &fate{drop: 0.3})
	got := float64(len(left)) / float64(len(b))
	if got < 0.6 || got > 0.8 {
		t.Fatalf("%.2f of the segments are left, want about 0.7", got)
	}
	last := -1
	for off := 0; off < len(left); off += segment {
		if n := int(binary.BigEndian.Uint32(left[off:])); n <= last {
			t.Fatalf("segment %d after %d", n, last)
		} else {
			last = n
		}
	}
	if short := len(left) % segment; short != 0 && short != segment-40 {
		t.Fatalf("a segment was cut to %d bytes", short)
	}
}

func TestPartialLossIsSurvived(t *testing.T) {
	sw := NewSwitch(nil)
	p := dialEcho(t, sw, sw)
	add(t, sw, Rule{ID: "lossy", Drop: 0.05})
	if _, err := p.roundTrip(t, 200<<10, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if lost := p.conn.ConnectionStats().PacketsLost; lost == 0 {
		t.Fatal("nothing was lost")
	}
}

func TestClosedSocketSendsNothingLate(t *testing.T) {
	sw := NewSwitch(nil)
	c, outside := PacketConn(udp(t), sw), udp(t)
	add(t, sw, Rule{ID: "slow", Delay: 20 * time.Millisecond})
	_, err := c.WriteTo([]byte("late"), outside.LocalAddr())
	must(t, err)
	must(t, c.Close())
	must(t, outside.SetReadDeadline(time.Now().Add(60*time.Millisecond)))
	if _, _, err := outside.ReadFrom(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a packet came after Close: %v", err)
	}
	if _, err := c.WriteTo([]byte("x"), outside.LocalAddr()); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("write after Close: %v", err)
	}
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("second Close: %v", err)
	}
}

func TestUserDeadlineWakesAReaderThatHoldsPackets(t *testing.T) {
	sw := NewSwitch(nil)
	c, outside := PacketConn(udp(t), sw), udp(t)
	defer c.Close()
	add(t, sw, Rule{ID: "slow", Delay: 10 * time.Second})
	_, err := outside.WriteTo([]byte("x"), c.LocalAddr())
	must(t, err)
	must(t, c.SetReadDeadline(time.Now().Add(30*time.Millisecond)))
	if _, _, err := c.ReadFrom(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, want a time-out", err)
	}
}
