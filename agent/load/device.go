package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// devicesPerSocket bounds how much of the load one UDP socket carries.
const devicesPerSocket = 64

type socket struct {
	udp  *net.UDPConn
	quic *quic.Transport
}

type device struct {
	id     string
	home   *Edge
	rank   int     // among the devices of its region
	place  float64 // the same, from 0 to below 1
	tenant string
	h3     *http3.Transport
	body   []byte
}

func (g *generator) makeDevices(ctx context.Context) error {
	longest := 0
	for _, k := range g.cfg.Kinds {
		longest = max(longest, k.Body)
	}
	body := bytes.Repeat([]byte{'x'}, longest)
	for i := range g.cfg.Devices {
		if i%devicesPerSocket == 0 {
			if err := g.addSocket(); err != nil {
				return err
			}
		}
		d, err := g.makeDevice(i, body)
		if err != nil {
			return err
		}
		g.devices = append(g.devices, d)
	}
	g.number()
	return ctx.Err()
}

// number gives each device its place among those of its region.
func (g *generator) number() {
	count := map[string]int{}
	for _, d := range g.devices {
		d.rank = count[d.home.Region]
		count[d.home.Region]++
	}
	for _, d := range g.devices {
		d.place = float64(d.rank) / float64(count[d.home.Region])
	}
}

func (g *generator) addSocket() error {
	udp, err := net.ListenUDP("udp", &net.UDPAddr{})
	if err != nil {
		return fmt.Errorf("open a socket for devices: %w", err)
	}
	g.sockets = append(g.sockets, &socket{udp: udp, quic: &quic.Transport{Conn: udp}})
	return nil
}

func (g *generator) makeDevice(i int, body []byte) (*device, error) {
	tlsConfig := g.cfg.TLS.Clone()
	if g.cfg.Identity != nil {
		cert, err := g.cfg.Identity(i)
		if err != nil {
			return nil, err
		}
		tlsConfig.Certificates = []tls.Certificate{cert}
	}
	via := g.sockets[len(g.sockets)-1].quic
	return &device{
		id: fmt.Sprintf("device-%d", i), home: g.cfg.home(i), tenant: g.cfg.TenantOf(i), body: body,
		h3: &http3.Transport{
			TLSClientConfig:    tlsConfig,
			DisableCompression: true,
			QUICConfig:         &quic.Config{MaxIdleTimeout: 4 * time.Second, KeepAlivePeriod: time.Second},
			Dial: func(ctx context.Context, addr string, tc *tls.Config, qc *quic.Config) (*quic.Conn, error) {
				to, err := net.ResolveUDPAddr("udp", addr)
				if err != nil {
					return nil, err
				}
				return via.Dial(ctx, to, tc, qc)
			},
		},
	}, nil
}

// send sends a message until it is answered otherwise than with "not now", the
// attempts are used up, or its time is over.
func (d *device) send(ctx context.Context, cfg *Config, edge *Edge, kind *Kind, due time.Time) Result {
	r := Result{Due: due, Edge: edge.Region, Agent: edge.Agent, Tenant: d.tenant, Kind: kind}
	ctx, cancel := context.WithDeadline(ctx, due.Add(cfg.Timeout))
	defer cancel()
	for {
		a, err := d.attempt(ctx, cfg, edge, kind)
		r.Attempts++
		r.Status, r.Region, r.Err, r.Latency = a.status, a.region, err, time.Since(due)
		if err != nil || !a.forNow() {
			return r
		}
		r.Reason = a.reason
		if r.Refused == 0 {
			r.Refused = r.Latency
		}
		if r.Attempts >= cfg.Retry.Attempts || !pause(ctx, cfg.Retry.wait(&a)) {
			return r
		}
	}
}

func (d *device) attempt(ctx context.Context, cfg *Config, edge *Edge, kind *Kind) (a answer, err error) {
	req, err := d.request(ctx, edge, kind)
	if err != nil {
		return a, err
	}
	if cfg.Deadline > 0 {
		req.Header.Set("Request-Timeout", strconv.FormatFloat(cfg.Deadline.Seconds(), 'f', -1, 64))
	}
	resp, err := d.h3.RoundTrip(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	if err := a.read(resp); err != nil {
		return a, err
	}
	a.region, _, _ = strings.Cut(resp.Header.Get("X-Served-By"), "/")
	return a, nil
}

func (d *device) request(ctx context.Context, edge *Edge, kind *Kind) (*http.Request, error) {
	path := strings.ReplaceAll(kind.Path, "{device}", d.id)
	req, err := http.NewRequestWithContext(ctx, kind.Method, "https://"+edge.Addr+path, bytes.NewReader(d.body[:kind.Body]))
	if err != nil {
		return nil, err
	}
	if kind.Body == 0 {
		req.Body, req.ContentLength = nil, 0
	}
	if kind.Host != "" {
		req.Host = kind.Host
	}
	for name, value := range kind.Header {
		req.Header.Set(name, value)
	}
	return req, nil
}

func (g *generator) close() {
	for _, d := range g.devices {
		_ = d.h3.Close()
	}
	for _, s := range g.sockets {
		_ = s.quic.Close()
		_ = s.udp.Close()
	}
}
