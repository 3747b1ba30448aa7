package fault

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// Memberlist decorates a memberlist transport: packets and streams obey the
// Switch. It takes inner over: Shutdown shuts it down as well. Rules know the
// agent by the address memberlist advertises. Dialling behaves as with [Dialer].
func Memberlist(inner memberlist.NodeAwareTransport, sw *Switch) memberlist.NodeAwareTransport {
	t := &gossipTransport{
		inner: inner, sw: sw,
		packets: make(chan *memberlist.Packet), streams: make(chan net.Conn),
	}
	t.closing, t.close = context.WithCancel(context.Background())
	t.out.send, t.in.send = t.sendHeld, t.deliver
	stop := make(chan struct{})
	t.stop = sync.OnceFunc(func() { close(stop) })
	t.pumps.Go(func() { t.pumpPackets(stop) })
	t.pumps.Go(func() { t.pumpStreams(stop) })
	return t
}

type gossipTransport struct {
	inner   memberlist.NodeAwareTransport
	sw      *Switch
	self    atomic.Pointer[netip.AddrPort] // what memberlist advertises
	packets chan *memberlist.Packet
	streams chan net.Conn
	out     line[gossip]
	in      line[*memberlist.Packet]

	closing context.Context // ends when Shutdown begins
	close   context.CancelFunc
	stop    func() // ends the pumps
	pumps   sync.WaitGroup
}

type gossip struct {
	data []byte
	to   memberlist.Address
}

func (t *gossipTransport) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	final, finalPort, err := t.inner.FinalAdvertiseAddr(ip, port)
	if addr, ok := netip.AddrFromSlice(final); err == nil && ok {
		self := netip.AddrPortFrom(addr.Unmap(), uint16(finalPort))
		if old := t.self.Swap(&self); old != nil {
			t.sw.known.own(*old, -1)
		}
		t.sw.known.own(self, 1)
	}
	return final, finalPort, err
}

func (t *gossipTransport) me() netip.AddrPort {
	if self := t.self.Load(); self != nil {
		return *self
	}
	return netip.AddrPort{}
}

func (t *gossipTransport) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: addr})
}

func (t *gossipTransport) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	f := t.sw.judge(t.me(), resolve(addr.Addr), sending)
	switch {
	case f.lost():
		return time.Now(), nil
	case f.delay > 0:
		t.out.put(gossip{bytes.Clone(b), addr}, f.delay, false)
		return time.Now(), nil
	}
	return t.inner.WriteToAddress(b, addr)
}

func (t *gossipTransport) sendHeld(g gossip) {
	if f := t.sw.judge(t.me(), resolve(g.to.Addr), sending); !f.cut() {
		_, _ = t.inner.WriteToAddress(g.data, g.to) // an error now is a loss on the way
	}
}

func (t *gossipTransport) PacketCh() <-chan *memberlist.Packet { return t.packets }

func (t *gossipTransport) pumpPackets(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case p := <-t.inner.PacketCh():
			f := t.sw.judge(addrPort(p.From), t.me(), receiving)
			switch {
			case f.lost():
			case f.delay > 0:
				t.in.put(p, f.delay, false)
			default:
				t.deliver(p)
			}
		}
	}
}

func (t *gossipTransport) deliver(p *memberlist.Packet) {
	if f := t.sw.judge(addrPort(p.From), t.me(), receiving); f.cut() {
		return
	}
	select {
	case t.packets <- p:
	case <-t.closing.Done():
	}
}

func (t *gossipTransport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

func (t *gossipTransport) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(t.closing, timeout)
	defer cancel()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		left := timeout
		if by, ok := ctx.Deadline(); ok {
			left = time.Until(by)
		}
		return t.inner.DialAddressTimeout(addr, max(left, time.Millisecond))
	}
	return Dialer(dial, t.me(), t.sw)(ctx, "tcp", addr.Addr)
}

func (t *gossipTransport) StreamCh() <-chan net.Conn { return t.streams }

func (t *gossipTransport) pumpStreams(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case conn := <-t.inner.StreamCh():
			s := accepted(conn, t.sw)
			select {
			case t.streams <- s:
			case <-t.closing.Done():
				_ = s.Close()
			}
		}
	}
}

// Shutdown ends the transport. The pumps run until inner is down, since its
// listeners may be waiting to hand something over.
func (t *gossipTransport) Shutdown() error {
	t.close()
	t.out.close()
	t.in.close()
	err := t.inner.Shutdown()
	t.stop()
	t.pumps.Wait()
	if self := t.self.Swap(nil); self != nil {
		t.sw.known.own(*self, -1)
	}
	return err
}
