package flood

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// FleetConfig describes devices that speak HTTP/3.
type FleetConfig struct {
	Edges    []string // addresses; a device belongs to one, in turn
	Groups   []int    // how many devices each has
	TLS      *tls.Config
	Identity func(group, device int) (tls.Certificate, error) // nil: none shown
	Silence  time.Duration                                    // after which a device gives an edge up for another
	Headers  http.Header                                      // of every request
}

// Fleet is devices with a connection each.
type Fleet struct {
	cfg     FleetConfig
	groups  [][]*device
	sockets []*quic.Transport
	reasons
}

// devicesPerSocket bounds how much of the load one UDP socket carries.
const devicesPerSocket = 50

// NewFleet makes the devices; they connect when they first send.
func NewFleet(cfg FleetConfig) (*Fleet, error) {
	f := &Fleet{cfg: cfg}
	n := 0
	for g, size := range cfg.Groups {
		group := make([]*device, 0, size)
		for i := range size {
			d, err := f.newDevice(g, i, n)
			if err != nil {
				f.Close()
				return nil, err
			}
			group = append(group, d)
			n++
		}
		f.groups = append(f.groups, group)
	}
	return f, nil
}

func (f *Fleet) newDevice(group, i, n int) (*device, error) {
	if n%devicesPerSocket == 0 {
		udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return nil, fmt.Errorf("open a socket for devices: %w", err)
		}
		f.sockets = append(f.sockets, &quic.Transport{Conn: udp})
	}
	conf := f.cfg.TLS.Clone()
	if f.cfg.Identity != nil {
		cert, err := f.cfg.Identity(group, i)
		if err != nil {
			return nil, err
		}
		conf.Certificates = []tls.Certificate{cert}
	}
	d := &device{fleet: f, number: n, home: i % len(f.cfg.Edges), socket: f.sockets[len(f.sockets)-1]}
	d.edge = d.home
	d.h3 = &http3.Transport{
		TLSClientConfig: conf, DisableCompression: true, Dial: d.dial,
		QUICConfig: &quic.Config{MaxIdleTimeout: f.cfg.Silence, KeepAlivePeriod: f.cfg.Silence / 4, HandshakeIdleTimeout: f.cfg.Silence},
	}
	return d, nil
}

// Pick chooses a device of the kind's group.
func (f *Fleet) Pick(k *Kind, rng *rand.Rand) Device {
	group := f.groups[k.Group]
	return group[rng.IntN(len(group))]
}

// Connect lets every device connect, a few at a time, and returns the first
// error.
func (f *Fleet) Connect(ctx context.Context, k *Kind) error {
	for _, group := range f.groups {
		for _, d := range group {
			ans := d.Send(ctx, &Shot{Kind: k, Deadline: time.Now().Add(5 * time.Second)})
			if ans.Status == 0 {
				return fmt.Errorf("device %d has no answer from %s", d.number, f.cfg.Edges[ans.Edge])
			}
		}
	}
	return nil
}

// Close ends all connections.
func (f *Fleet) Close() {
	for _, group := range f.groups {
		for _, d := range group {
			_ = d.h3.Close()
		}
	}
	for _, s := range f.sockets {
		_ = s.Close()
		_ = s.Conn.Close()
	}
}

type device struct {
	fleet  *Fleet
	number int
	home   int
	socket *quic.Transport
	h3     *http3.Transport

	mu   sync.Mutex // guards what follows
	edge int
	conn *quic.Conn
}

func (d *device) Home() int { return d.home }

func (d *device) at() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.edge
}

// dial goes to another edge when the one before broke or does not answer.
func (d *device) dial(ctx context.Context, _ string, tc *tls.Config, qc *quic.Config) (*quic.Conn, error) {
	d.mu.Lock()
	if d.conn != nil {
		d.moveOn()
	}
	edge := d.edge
	d.mu.Unlock()
	to, err := net.ResolveUDPAddr("udp", d.fleet.cfg.Edges[edge])
	if err != nil {
		return nil, err
	}
	conn, err := d.socket.Dial(ctx, to, tc, qc)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil && d.conn == nil {
		d.moveOn()
	}
	d.conn = conn
	return conn, err
}

// moveOn: half of the devices take the next edge, the others the one before.
func (d *device) moveOn() {
	n := len(d.fleet.cfg.Edges)
	step := 1
	if (d.number/n)%2 == 1 {
		step = n - 1
	}
	d.edge = (d.edge + step) % n
	d.conn = nil
}

// payload is the body of every message.
var payload = bytes.Repeat([]byte("x"), 200)

// Send makes one attempt, up to its deadline.
func (d *device) Send(ctx context.Context, s *Shot) Answer {
	ctx, cancel := context.WithDeadline(ctx, s.Deadline)
	defer cancel()
	ans := Answer{Edge: d.at()}
	rsp, err := d.h3.RoundTrip(request(ctx, s, "https", "localhost", d.fleet.cfg.Headers))
	if err != nil {
		return ans
	}
	reason, after, err := d.fleet.read(rsp)
	if err != nil {
		return ans
	}
	ans.Status, ans.Reason, ans.RetryAfter = rsp.StatusCode, reason, after
	return ans
}

func request(ctx context.Context, s *Shot, scheme, host string, more http.Header) *http.Request {
	h := make(http.Header, 4+len(more))
	for name, values := range more {
		h[name] = values
	}
	h["X-Deadline"] = []string{strconv.FormatInt(s.Deadline.UnixMicro(), 10)}
	if s.ID != "" {
		h["X-Request-Id"] = []string{s.ID}
	}
	r := &http.Request{
		Method: http.MethodPost, URL: &url.URL{Scheme: scheme, Host: host, Path: s.Kind.Path}, Host: host,
		Header: h, ContentLength: int64(len(payload)), Body: io.NopCloser(bytes.NewReader(payload)),
	}
	return r.WithContext(ctx)
}
