package edge

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/quic-go/quic-go"
)

func TestConnectionIDsAreThoseOfTheDraft(t *testing.T) {
	for _, c := range []struct {
		lb     QUICLB
		length int
		first  byte // its three upper bits
	}{
		{QUICLB{0, []byte{0xc4}, 4}, 6, 0},
		{QUICLB{1, []byte{0x31, 0x44, 0x1a}, 4}, 8, 0x20},
		{QUICLB{2, []byte{1, 2, 3, 4, 5, 6, 7, 8}, 11}, 20, 0x40},
		{QUICLB{6, bytes.Repeat([]byte{0xff}, 15), 4}, 20, 0xc0},
		{QUICLB{6, []byte{0}, 18}, 20, 0xc0},
	} {
		check(t, c.lb.check())
		seen, random := map[string]bool{}, map[byte]bool{}
		for range 200 {
			id := must[quic.ConnectionID](t)(c.lb.GenerateConnectionID())
			b := id.Bytes()
			if id.Len() != c.length || c.lb.ConnectionIDLen() != c.length || b[0]&0xe0 != c.first || !bytes.HasPrefix(b[1:], c.lb.ServerID) {
				t.Fatalf("%+v: %x", c.lb, b)
			}
			seen[hex.EncodeToString(b[1:])], random[b[0]&0x1f] = true, true
		}
		if len(seen) != 200 || len(random) < 10 {
			t.Errorf("%+v: %d nonces and %d first octets of 200", c.lb, len(seen), len(random))
		}
	}
}

func TestConnectionIDsThatNoBalancerReadsAreRefused(t *testing.T) {
	for name, lb := range map[string]QUICLB{
		"reserved config":  {7, []byte{1}, 8},
		"negative config":  {-1, []byte{1}, 8},
		"no server ID":     {0, nil, 8},
		"long server ID":   {0, make([]byte, 16), 4},
		"short nonce":      {0, []byte{1}, 3},
		"more than 20 all": {0, make([]byte, 10), 10},
	} {
		if err := lb.check(); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// balancer routes packets by the server ID in their connection IDs, and what has
// none by the address it comes from, as the draft has it.
type balancer struct {
	*net.UDPConn
	mu      sync.Mutex
	routed  int
	unknown int
}

// A device behind a balancer that knows nothing but the layout changes its
// address, and comes to the same agent.
func TestABalancerFindsTheAgentOfADeviceThatMoved(t *testing.T) {
	var agents [2]*bench
	for i := range agents {
		agents[i], _ = newMQTTBench(t, func(c *Config) {
			c.QUICLB = &QUICLB{ConfigID: 3, ServerID: []byte{10, byte(i)}, NonceLength: 8}
		})
	}
	first := agents[0]
	lb := newBalancer(t, agents)
	behind := *first
	behind.udp = lb.LocalAddr().(*net.UDPAddr)
	m := migrating(&behind, t, "mqtt")
	conn := &streamConn{must[*quic.Stream](t)(m.conn.OpenStream()), m.conn}
	exchangeMQTT(t, conn, mqttConnect, mqttConnack)
	check(t, m.move())
	exchangeMQTT(t, conn, mqttPublish, mqttPuback)
	if first.handshakes(protoQUIC, handshakeDone) != 1 || first.Connections() != 1 {
		t.Error("the device had to come anew")
	}
	lb.mu.Lock()
	defer lb.mu.Unlock()
	if lb.routed == 0 || lb.unknown > 8 { // the first flight, which has IDs of the device's choice
		t.Errorf("%d packets by server ID, %d without", lb.routed, lb.unknown)
	}
}

// newBalancer passes packets to agents, and theirs back to whom they belong. It
// keeps a socket for each address of the device, as one that does not change
// destinations in place has to.
func newBalancer(t *testing.T, agents [2]*bench) *balancer {
	lb := &balancer{UDPConn: must[*net.UDPConn](t)(net.ListenUDP("udp4", &net.UDPAddr{}))}
	var pumps sync.WaitGroup
	ways := map[string]*net.UDPConn{}
	pumps.Go(func() {
		pump(lb.UDPConn, func(packet []byte, from *net.UDPAddr) {
			way := ways[from.String()]
			if way == nil {
				way, _ = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
				ways[from.String()] = way
				pumps.Go(func() { pump(way, func(answer []byte, _ *net.UDPAddr) { _, _ = lb.WriteTo(answer, from) }) })
			}
			_, _ = way.WriteTo(packet, agents[lb.route(packet, min(len(ways)-1, 1))].udp)
		})
		for _, way := range ways {
			way.Close()
		}
	})
	t.Cleanup(func() { lb.Close(); pumps.Wait() })
	return lb
}

func (lb *balancer) route(packet []byte, byAddress int) int {
	lb.mu.Lock()
	defer lb.mu.Unlock()
	id := packet[1:]
	if packet[0]&0x80 != 0 { // a long header: version, then the length of the ID
		id = packet[6:]
	}
	if id[0]>>5 == 3 && id[1] == 10 && id[2] < 2 {
		lb.routed++
		return int(id[2])
	}
	lb.unknown++
	return byAddress
}
