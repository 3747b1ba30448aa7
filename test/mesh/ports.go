package mesh

import (
	"io"
	"net"
	"strconv"
	"testing"
)

// ports are the numbers an agent listens on, free on UDP and TCP when chosen.
type ports struct{ Edge, Mesh, LAN, WAN, Admin, Ready, Egress int }

func freePorts(t testing.TB, ip string) (p ports) {
	t.Helper()
	var held []io.Closer
	defer func() {
		for _, h := range held {
			h.Close()
		}
	}()
	for _, port := range []*int{&p.Edge, &p.Mesh, &p.LAN, &p.WAN, &p.Admin, &p.Ready, &p.Egress} {
		tcp, udp := hold(t, ip)
		held = append(held, tcp, udp)
		*port = tcp.Addr().(*net.TCPAddr).Port
	}
	return p
}

// hold takes a number that is free on TCP and UDP.
func hold(t testing.TB, ip string) (net.Listener, net.PacketConn) {
	t.Helper()
	for range 20 {
		tcp, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
		if err != nil {
			t.Fatalf("find a free port on %s: %v", ip, err)
		}
		if udp, err := net.ListenPacket("udp", tcp.Addr().String()); err == nil {
			return tcp, udp
		}
		tcp.Close()
	}
	t.Fatalf("no number on %s is free on both TCP and UDP", ip)
	return nil, nil
}

func join(ip string, port int) string { return net.JoinHostPort(ip, strconv.Itoa(port)) }
