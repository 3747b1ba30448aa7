package consultest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
)

// ports are what a server listens on; chosen once, kept over restarts.
type ports struct {
	HTTP    int `json:"http"`
	Server  int `json:"server"`
	SerfLAN int `json:"serf_lan"`
	SerfWAN int `json:"serf_wan"`
	DNS     int `json:"dns"`
	GRPC    int `json:"grpc"`
	GRPCTLS int `json:"grpc_tls"`
	HTTPS   int `json:"https"`
}

func freePorts(t testing.TB, ip string) ports {
	t.Helper()
	var held []held
	defer func() {
		for _, h := range held {
			h.close()
		}
	}()
	next := func() int {
		h, err := hold(ip)
		if err != nil {
			t.Fatalf("find a free port on %s: %v", ip, err)
		}
		held = append(held, h)
		return h.port
	}
	return ports{HTTP: next(), Server: next(), SerfLAN: next(), SerfWAN: next(), DNS: -1, GRPC: -1, GRPCTLS: -1, HTTPS: -1}
}

// held is a port free on TCP and UDP, kept until all are found.
type held struct {
	port int
	tcp  net.Listener
	udp  net.PacketConn
}

func (h held) close() {
	h.tcp.Close()
	h.udp.Close()
}

func hold(ip string) (held, error) {
	var errs error
	for range 200 {
		tcp, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(candidate())))
		if err != nil {
			errs = err
			continue
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err == nil {
			return held{tcp.Addr().(*net.TCPAddr).Port, tcp, udp}, nil
		}
		tcp.Close()
		errs = err
	}
	return held{}, errs
}

// candidate numbers lie below those that systems give to outgoing connections,
// so that none of these takes one before its server binds it, and no two
// servers of this process get the same.
func candidate() int { return 15000 + int(counter.Add(1)%5000) }

var counter = startAnywhere()

func startAnywhere() *atomic.Uint32 {
	var n atomic.Uint32
	n.Store(rand.Uint32N(5000))
	return &n
}
