package transport

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// dial makes one attempt over QUIC, and one over TCP when QUIC failed often
// and nothing else stands.
func (k *keeper) dial(ctx context.Context, standing bool) (*connection, error) {
	addr := *k.addr.Load()
	c, err := k.attempt(ctx, addr, k.dialQUIC)
	if err == nil {
		k.failures = 0
		return c, nil
	}
	k.failures++
	if standing || k.mesh.cfg.TCPDial == nil || k.failures < k.mesh.timing.tcpAfter || ctx.Err() != nil {
		return nil, err
	}
	return k.attempt(ctx, addr, k.dialTCP)
}

type dialFunc func(ctx context.Context, addr string) (*connection, error)

func (k *keeper) attempt(ctx context.Context, addr string, dial dialFunc) (*connection, error) {
	limited, cancel := context.WithTimeout(ctx, k.mesh.timing.dial)
	defer cancel()
	c, err := dial(limited, addr)
	if ctx.Err() == nil { // else nobody's failure
		k.mesh.metrics.dialled(k.peer.Region, err)
	}
	if err != nil {
		return nil, fmt.Errorf("dial %s at %s: %w", k.peer, addr, err)
	}
	c.addr, c.since = addr, time.Now()
	return c, nil
}

func (k *keeper) dialQUIC(ctx context.Context, addr string) (*connection, error) {
	udp, err := resolve(ctx, addr, k.mesh.cfg.Conn.LocalAddr())
	if err != nil {
		return nil, err
	}
	protocol := alpnTunnel
	if k.kind == probeKind {
		protocol = alpnProbe
	}
	conn, err := k.mesh.transport.Dial(ctx, udp, k.mesh.clientTLS(k.peer, k.cache, protocol), k.mesh.clientQUIC(k.kind))
	if err != nil {
		return nil, err
	}
	w := &quicWire{conn: conn}
	chain := conn.ConnectionState().TLS.PeerCertificates
	if k.kind == probeKind {
		return k.adopt(ctx, w, chain, k.startProber(conn))
	}
	h3 := http3.Transport{DisableCompression: true, MaxResponseHeaderBytes: k.mesh.cfg.Limits.HeaderBytes, Logger: k.mesh.cfg.Logger}
	w.client = h3.NewClientConn(conn)
	// With TLS 1.3 a client is through before the server has looked at its
	// certificate; SETTINGS come from a server that accepted it.
	return k.adopt(ctx, w, chain, w.client.ReceivedSettings())
}

func (k *keeper) dialTCP(ctx context.Context, addr string) (*connection, error) {
	w, chain, err := k.mesh.dialTCP(ctx, k.peer, addr, k.cache)
	if err != nil {
		return nil, err
	}
	answered := make(chan struct{})
	k.mesh.wg.Go(func() { k.pollTCP(w, answered) })
	return k.adopt(ctx, w, chain, answered)
}

func resolve(ctx context.Context, addr string, local net.Addr) (*net.UDPAddr, error) {
	if literal, err := netip.ParseAddrPort(addr); err == nil {
		return net.UDPAddrFromAddrPort(literal), nil
	}
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("port %.20q: %w", service, err)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, networkOf(local), host)
	if err != nil {
		return nil, err
	}
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(ips[0].Unmap(), uint16(port))), nil
}

// networkOf is what a socket can reach: one bound to an IPv4 address reaches
// no IPv6.
func networkOf(local net.Addr) string {
	udp, ok := local.(*net.UDPAddr)
	switch {
	case !ok || udp.IP.IsUnspecified() && udp.IP.To4() == nil:
		return "ip"
	case udp.IP.To4() != nil:
		return "ip4"
	}
	return "ip6"
}
