package device

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
)

// conn is a connection after its handshake.
type conn interface {
	// heard counts signs of life.
	heard() uint64
	// slack is how much longer silence is borne while so many bytes are under way.
	slack(bytes int) time.Duration
	// close ends it at once.
	close()
}

// quicConn is one over QUIC: every packet is a sign of life.
type quicConn struct{ *quic.Conn }

func (c quicConn) heard() uint64 { return c.ConnectionStats().PacketsReceived }

// slack follows the round trip, up at once and down slowly: devices that connect
// all at once measure long ones in the beginning.
func (c quicConn) slack(int) time.Duration {
	s := c.ConnectionStats()
	return max(2*s.LatestRTT, s.SmoothedRTT)
}

func (c quicConn) close() { _ = c.CloseWithError(0, "") }

// tlsConn is one over TLS: whatever is read is a sign of life.
type tlsConn struct {
	*tls.Conn
	counted *countedConn
	rtt     time.Duration
}

func (c *tlsConn) heard() uint64 { return c.counted.reads.Load() }

// slowest is the rate that is expected of TCP, in bytes a second, where what is
// under way holds up signs of life.
const slowest = 16 << 10

func (c *tlsConn) slack(bytes int) time.Duration {
	return 2*c.rtt + time.Duration(bytes)*time.Second/slowest
}

// close does not wait for a peer that takes nothing.
func (c *tlsConn) close() { _ = c.counted.Close() }

type countedConn struct {
	net.Conn
	reads atomic.Uint64

	mu   sync.Mutex // guards what follows
	end  error      // of reading
	over func(error)
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.reads.Add(1)
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.tell(func() { c.end = err })
	}
	return n, err
}

// whenOver has f called when nothing more can be read.
func (c *countedConn) whenOver(f func(error)) { c.tell(func() { c.over = f }) }

func (c *countedConn) tell(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	if c.over != nil && c.end != nil {
		c.over(c.end)
	}
}

// dialer opens connections for one client.
type dialer struct {
	cfg  *Config
	tls  *tls.Config
	quic *quic.Transport // nil: not used
	own  net.PacketConn  // its socket; nil: somebody else's
}

func newDialer(cfg *Config) (dialer, error) {
	d := dialer{cfg: cfg, quic: cfg.Transport, tls: cfg.TLS.Clone()}
	d.tls.MinVersion = tls.VersionTLS13
	if d.tls.ClientSessionCache == nil {
		d.tls.ClientSessionCache = tls.NewLRUClientSessionCache(len(cfg.Endpoints))
	}
	if cfg.NoUDP || d.quic != nil {
		return d, nil
	}
	socket, err := net.ListenUDP("udp", nil)
	if err != nil {
		return d, fmt.Errorf("open a UDP socket: %w", err)
	}
	d.own, d.quic = socket, &quic.Transport{Conn: socket}
	return d, nil
}

func (d *dialer) close() error {
	if d.own == nil {
		return nil
	}
	return errors.Join(d.quic.Close(), d.own.Close())
}

// host is whom to expect in an agent's certificate, and to name in requests.
func (d *dialer) host(p *place) string {
	host, _, _ := net.SplitHostPort(p.Addr) // it was checked
	return cmp.Or(d.tls.ServerName, host)
}

// protocols are the names in ALPN, by wire.
var protocols = map[Protocol]map[wire]string{
	MQTT:  {udp: "mqtt", tcp: "mqtt"},
	HTTP3: {udp: "h3", tcp: "h2"},
}

// reach makes an attempt.
func (d *dialer) reach(ctx context.Context, a attempt) *reached {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.DialTimeout)
	defer cancel()
	r := &reached{try: try{attempt: a}}
	conf := d.tls.Clone()
	conf.ServerName, conf.NextProtos = d.host(a.place), []string{protocols[d.cfg.Protocol][a.wire]}
	if a.wire == udp {
		r.conn, r.rtt, r.err = d.reachQUIC(ctx, a.place.Addr, conf)
	} else {
		r.conn, r.rtt, r.err = d.reachTCP(ctx, a.place.Addr, conf)
	}
	if r.err != nil {
		r.conn, r.err = nil, fmt.Errorf("%s over %s: %w", a.place.Addr, a.wire, r.err)
	}
	return r
}

func (d *dialer) reachQUIC(ctx context.Context, addr string, conf *tls.Config) (conn, time.Duration, error) {
	addrs, err := resolve(ctx, addr)
	if err != nil {
		return nil, 0, err
	}
	var errs []error
	for _, a := range addrs {
		c, err := d.quic.Dial(ctx, net.UDPAddrFromAddrPort(a), conf, d.quicConfig())
		if err == nil {
			return quicConn{c}, c.ConnectionStats().MinRTT, nil
		}
		errs = append(errs, err)
	}
	return nil, 0, errors.Join(errs...)
}

// quicConfig leaves signs of life to the vigil, and the end of a dead connection
// too; QUIC's own comes last.
func (d *dialer) quicConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:  d.cfg.DialTimeout,
		MaxIdleTimeout:        2*d.cfg.KeepAlive + 10*time.Second,
		MaxIncomingStreams:    -1,
		MaxIncomingUniStreams: 8, // HTTP/3's own
	}
}

func resolve(ctx context.Context, addr string) ([]netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "udp", service)
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var all []netip.AddrPort
	for _, ip := range ips {
		all = append(all, netip.AddrPortFrom(ip.Unmap(), uint16(port)))
	}
	return all, nil
}

func validAddr(addr string) bool {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host == "" {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

func (d *dialer) reachTCP(ctx context.Context, addr string, conf *tls.Config) (conn, time.Duration, error) {
	start := time.Now()
	var nd net.Dialer
	raw, err := nd.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, 0, err
	}
	rtt := time.Since(start)
	counted := &countedConn{Conn: raw}
	c := &tlsConn{Conn: tls.Client(counted, conf), counted: counted, rtt: rtt}
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, 0, errors.Join(err, ignoreClosed(raw.Close()))
	}
	if got, want := c.ConnectionState().NegotiatedProtocol, conf.NextProtos[0]; got != want {
		return nil, 0, errors.Join(fmt.Errorf("the server does not speak %s", want), raw.Close())
	}
	return c, rtt, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
