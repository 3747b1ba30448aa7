package fault

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// DialFunc is the shape of net.Dialer.DialContext.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// Listener decorates a TCP listener: the connections it accepts obey the
// Switch. A connection that was dialled through a decorator of the same Switch
// counts as coming from the agent that dialled; any other counts by its own
// address, of which rules then should name the host only (port 0).
func Listener(inner net.Listener, sw *Switch) net.Listener {
	l := &listener{Listener: inner, sw: sw, self: addrPort(inner.Addr())}
	sw.known.own(l.self, 1)
	return l
}

type listener struct {
	net.Listener
	sw   *Switch
	self netip.AddrPort
	once sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return accepted(conn, l.sw), nil
}

func (l *listener) Close() error {
	l.once.Do(func() { l.sw.known.own(l.self, -1) })
	return l.Listener.Close()
}

func accepted(conn net.Conn, sw *Switch) *stream {
	return newStream(conn, addrPort(conn.LocalAddr()), addrPort(conn.RemoteAddr()), sw, func() {})
}

// Dialer decorates a way to dial TCP. Self is the address by which rules know
// the agent that dials, since its own ports change. Dialling an address that is
// cut off waits, as if the first packets were lost, until the path is back or
// ctx ends; the error then is a time-out of kind [ErrCut].
func Dialer(dial DialFunc, self netip.AddrPort, sw *Switch) DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if err := sw.awaitPath(ctx, self, resolve(addr)); err != nil {
			return nil, fmt.Errorf("dial %s %s: %w", network, addr, err)
		}
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return dialled(conn, self, sw), nil
	}
}

func dialled(conn net.Conn, self netip.AddrPort, sw *Switch) *stream {
	port := addrPort(conn.LocalAddr())
	sw.known.stand(port, self)
	sw.known.own(self, 1)
	return newStream(conn, self, addrPort(conn.RemoteAddr()), sw, func() {
		sw.known.forget(port)
		sw.known.own(self, -1)
	})
}

func resolve(addr string) netip.AddrPort {
	if parsed, err := netip.ParseAddrPort(addr); err == nil {
		return plain(parsed)
	}
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return netip.AddrPort{} // dialling it will say why
	}
	return plain(tcp.AddrPort())
}
