package mesh

import (
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
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
	for range 200 {
		tcp, err := net.Listen("tcp", join(ip, candidate()))
		if err != nil {
			continue
		}
		if udp, err := net.ListenPacket("udp", tcp.Addr().String()); err == nil {
			return tcp, udp
		}
		tcp.Close()
	}
	t.Fatalf("no number on %s is free on both TCP and UDP", ip)
	return nil, nil
}

// candidate numbers lie below those that systems give to outgoing connections,
// so that none of these takes one before its agent binds it, and no two agents
// of this process get the same.
func candidate() int { return 10000 + int(counter.Add(1)%5000) }

var counter = startAnywhere()

func startAnywhere() *atomic.Uint32 {
	var n atomic.Uint32
	n.Store(rand.Uint32N(5000))
	return &n
}

func join(ip string, port int) string { return net.JoinHostPort(ip, strconv.Itoa(port)) }
