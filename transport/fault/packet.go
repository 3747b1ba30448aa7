package fault

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/net/ipv4"
)

// ErrBypass answers an attempt to read or write around the rules.
var ErrBypass = errors.New("raw reads and writes would bypass the fault rules")

// PacketConn decorates a UDP socket so that all its traffic obeys the Switch.
// It takes over the socket: closing it closes inner.
//
// quic-go reads a socket in batches through its raw descriptor, past every
// method of a decorator, unless the decorator reads batches itself: this one
// does, so control messages (ECN, packet info) arrive as from a bare socket.
// Writes keep their control messages as well: a packet nobody has a rule for
// goes out untouched, several segments at a time where quic-go uses GSO. A rule
// that loses a share of packets draws for each segment; one that delays holds
// the segments of one write together. SyscallConn allows options to be set and
// read, not data.
func PacketConn(inner *net.UDPConn, sw *Switch) net.PacketConn {
	c := &packetConn{inner: inner, batch: ipv4.NewPacketConn(inner), sw: sw, self: addrPort(inner.LocalAddr())}
	c.out.send = c.sendHeld
	c.in.setInner = inner.SetReadDeadline
	sw.known.own(c.self, 1)
	return c
}

// batchReader is what quic-go looks for before it unwraps a descriptor.
type batchReader interface {
	ReadBatch(ms []ipv4.Message, flags int) (int, error)
}

var (
	_ quic.OOBCapablePacketConn = (*packetConn)(nil)
	_ batchReader               = (*packetConn)(nil)
)

// packetConn must not embed the socket: each method it promoted would be a way
// around the rules.
type packetConn struct {
	inner  *net.UDPConn
	batch  *ipv4.PacketConn
	sw     *Switch
	self   netip.AddrPort
	in     inbox
	out    line[outgoing]
	closed atomic.Bool
}

type outgoing struct {
	data, oob []byte
	to        *net.UDPAddr
}

func (c *packetConn) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	f := c.sw.judge(c.self, addrPort(addr), sending)
	if f.drop == 0 && f.delay == 0 {
		return c.inner.WriteMsgUDP(b, oob, addr)
	}
	if c.closed.Load() {
		return 0, 0, &net.OpError{Op: "write", Net: "udp", Source: c.LocalAddr(), Addr: addr, Err: net.ErrClosed}
	}
	left := survivors(b, segmentSize(oob), &f)
	switch {
	case len(left) == 0:
	case f.delay > 0:
		c.out.put(outgoing{bytes.Clone(left), bytes.Clone(oob), addr}, f.delay, false)
	default:
		_, _, err = c.inner.WriteMsgUDP(left, oob, addr)
	}
	return len(b), len(oob), err
}

// survivors draws for each segment of a write. What is left still is a valid
// GSO write: only its last segment may be short.
func survivors(b []byte, segment int, f *fate) []byte {
	if f.drop == 0 {
		return b
	}
	if segment <= 0 || segment >= len(b) || f.cut() {
		if f.lost() {
			return nil
		}
		return b
	}
	left := make([]byte, 0, len(b))
	for len(b) > 0 {
		n := min(segment, len(b))
		if !f.lost() {
			left = append(left, b[:n]...)
		}
		b = b[n:]
	}
	return left
}

func (c *packetConn) sendHeld(o outgoing) {
	if f := c.sw.judge(c.self, addrPort(o.to), sending); f.cut() {
		return
	}
	_, _, _ = c.inner.WriteMsgUDP(o.data, o.oob, o.to) // an error now is a loss on the way
}

func (c *packetConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	to, ok := addr.(*net.UDPAddr)
	if !ok {
		return 0, &net.OpError{Op: "write", Net: "udp", Source: c.LocalAddr(), Addr: addr, Err: syscall.EINVAL}
	}
	n, _, err := c.WriteMsgUDP(b, nil, to)
	return n, err
}

func (c *packetConn) ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	ms := []ipv4.Message{{Buffers: [][]byte{b}, OOB: oob}}
	if _, err := c.ReadBatch(ms, 0); err != nil {
		return 0, 0, 0, nil, err
	}
	addr, _ = ms[0].Addr.(*net.UDPAddr)
	return ms[0].N, ms[0].NN, ms[0].Flags, addr, nil
}

func (c *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, _, _, addr, err := c.ReadMsgUDP(b, nil)
	if err != nil {
		return 0, nil, err
	}
	return n, addr, nil
}

func (c *packetConn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	c.out.close()
	c.sw.known.own(c.self, -1)
	return c.inner.Close()
}

func (c *packetConn) LocalAddr() net.Addr                { return c.inner.LocalAddr() }
func (c *packetConn) SetReadBuffer(bytes int) error      { return c.inner.SetReadBuffer(bytes) }
func (c *packetConn) SetWriteBuffer(bytes int) error     { return c.inner.SetWriteBuffer(bytes) }
func (c *packetConn) SetWriteDeadline(t time.Time) error { return c.inner.SetWriteDeadline(t) }
func (c *packetConn) SetReadDeadline(t time.Time) error  { return c.in.setDeadline(t) }

func (c *packetConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SyscallConn gives the descriptor for options only.
func (c *packetConn) SyscallConn() (syscall.RawConn, error) {
	raw, err := c.inner.SyscallConn()
	if err != nil {
		return nil, err
	}
	return optionsOnly{raw}, nil
}

type optionsOnly struct{ inner syscall.RawConn }

func (o optionsOnly) Control(f func(fd uintptr)) error { return o.inner.Control(f) }
func (o optionsOnly) Read(func(fd uintptr) bool) error { return ErrBypass }
func (o optionsOnly) Write(func(uintptr) bool) error   { return ErrBypass }
