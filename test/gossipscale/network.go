package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// What the bytes of a message cost beside themselves, over IPv4.
const (
	datagramHeaders = 28      // IP, UDP
	segmentHeaders  = 40      // IP, TCP
	segmentPayload  = 1_448   //
	streamSetup     = 7 * 40  // SYN, SYN+ACK, ACK, and both FINs with their ACKs
	queuedDatagrams = 1 << 13 // like a socket's buffer; more are lost
)

// traffic is what one agent sent and received.
type traffic struct {
	sent, received [classes]atomic.Int64
}

type class int

const (
	datagrams class = iota
	streams
	pulls
	classes
)

func (t *traffic) total() int64 {
	var sum int64
	for c := range t.sent {
		sum += t.sent[c].Load() + t.received[c].Load()
	}
	return sum
}

// network connects memberlists inside this process: datagrams arrive after the
// delay between their agents' regions, streams are pipes.
type network struct {
	delay   func(from, to string) time.Duration // one way, between agents
	through func(from, to string) bool          // what is sent arrives

	mu    sync.Mutex // guards ports
	ports map[string]*port
}

func newNetwork(delay func(from, to string) time.Duration, through func(from, to string) bool) *network {
	return &network{delay: delay, through: through, ports: make(map[string]*port)}
}

// port is an agent's end of one pool.
type port struct {
	net     *network
	agent   string
	addr    string
	traffic *traffic
	packets chan *memberlist.Packet
	streams chan net.Conn
	closed  chan struct{}
	end     sync.Once
}

// open is a gossip.Config's Transport for one agent.
func (n *network) open(agent string, t *traffic) func(string, *memberlist.Config) (memberlist.Transport, error) {
	return func(_ string, cfg *memberlist.Config) (memberlist.Transport, error) {
		p := &port{
			net: n, agent: agent, addr: fmt.Sprintf("%s:%d", cfg.BindAddr, cfg.BindPort), traffic: t,
			packets: make(chan *memberlist.Packet, queuedDatagrams), streams: make(chan net.Conn), closed: make(chan struct{}),
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.ports[p.addr] = p
		return p, nil
	}
}

func (n *network) find(addr string) *port {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ports[addr]
}

func (p *port) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	at, err := netip.ParseAddrPort(p.addr)
	if err != nil {
		return nil, 0, err
	}
	return at.Addr().AsSlice(), int(at.Port()), nil
}

func (p *port) WriteTo(b []byte, addr string) (time.Time, error) {
	now := time.Now()
	size := int64(len(b) + datagramHeaders)
	p.traffic.sent[datagrams].Add(size)
	to := p.net.find(addr)
	if to == nil || !p.net.through(p.agent, to.agent) {
		return now, nil
	}
	packet := &memberlist.Packet{Buf: append([]byte(nil), b...), From: net.UDPAddrFromAddrPort(netip.MustParseAddrPort(p.addr))}
	time.AfterFunc(p.net.delay(p.agent, to.agent), func() {
		to.traffic.received[datagrams].Add(size)
		packet.Timestamp = time.Now()
		select {
		case to.packets <- packet:
		default:
		}
	})
	return now, nil
}

func (p *port) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return p.WriteTo(b, a.Addr)
}

func (p *port) PacketCh() <-chan *memberlist.Packet { return p.packets }
func (p *port) StreamCh() <-chan net.Conn           { return p.streams }

func (p *port) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	to := p.net.find(addr)
	if to == nil || !p.net.through(p.agent, to.agent) {
		return nil, errors.New("nobody listens")
	}
	near, far := net.Pipe()
	wait := time.NewTimer(timeout)
	defer wait.Stop()
	select {
	case to.streams <- &stream{far, to, p}:
	case <-to.closed:
		return nil, errors.New("nobody listens")
	case <-wait.C:
		return nil, errors.New("not accepted in time")
	}
	p.traffic.sent[streams].Add(streamSetup / 2)
	p.traffic.received[streams].Add(streamSetup / 2)
	to.traffic.sent[streams].Add(streamSetup / 2)
	to.traffic.received[streams].Add(streamSetup / 2)
	return &stream{near, p, to}, nil
}

func (p *port) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return p.DialTimeout(a.Addr, timeout)
}

func (p *port) Shutdown() error {
	p.end.Do(func() { close(p.closed) })
	return nil
}

// stream counts what one end writes, at both.
type stream struct {
	net.Conn
	from, to *port
}

func (s *stream) Write(b []byte) (int, error) {
	size := onStream(len(b))
	s.from.traffic.sent[streams].Add(size)
	s.to.traffic.received[streams].Add(size)
	return s.Conn.Write(b)
}

func (s *stream) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s.to.addr))
}

// onStream adds the headers of full segments and one acknowledgement for two of
// them, which goes the other way but to the same agent.
func onStream(n int) int64 {
	segments := (n + segmentPayload - 1) / segmentPayload
	return int64(n + segments*segmentHeaders + (segments+1)/2*segmentHeaders)
}
