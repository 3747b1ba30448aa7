package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
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
	link   link
	body   []byte

	numbered atomic.Uint64 // messages so far

	away  atomic.Pointer[chan struct{}] // closed once it has the connection back that it lost in a storm; nil: it never did
	drops atomic.Int64                  // storms that it was in
}

func (g *generator) makeDevices(ctx context.Context) error {
	longest := 0
	for _, k := range g.cfg.Kinds {
		longest = max(longest, k.Body)
	}
	body := bytes.Repeat([]byte{'x'}, longest)
	for i := range g.cfg.Devices + g.cfg.Idle {
		if i%devicesPerSocket == 0 {
			if err := g.addSocket(); err != nil {
				return err
			}
		}
		d, err := g.makeDevice(i, body)
		if err != nil {
			return err
		}
		if i < g.cfg.Devices {
			g.devices = append(g.devices, d)
		} else {
			g.idle = append(g.idle, d)
		}
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
	id := fmt.Sprintf("device-%d", i)
	return &device{
		id: id, home: g.cfg.home(i), tenant: g.cfg.TenantOf(i), body: body,
		link: g.newLink(id, tlsConfig, i >= g.cfg.Devices),
	}, nil
}

// send sends a message until it is answered otherwise than with "not now", the
// attempts are used up, or its time is over, and says in r what became of it. What a
// storm cuts off is sent again.
func (d *device) send(ctx context.Context, cfg *Config, edge *Edge, r *Result) {
	ctx, cancel := context.WithDeadline(ctx, r.Due.Add(cfg.Timeout))
	defer cancel()
	m := d.message(cfg, edge, r)
	for {
		if !d.present(ctx) {
			r.Err, r.Latency = ctx.Err(), time.Since(r.Due)
			return
		}
		drops := d.drops.Load()
		a, err := d.link.attempt(ctx, m)
		r.Attempts++
		r.Status, r.Region, r.Err, r.Latency = a.status, a.region, err, time.Since(r.Due)
		if err != nil && ctx.Err() == nil && d.drops.Load() != drops {
			continue
		}
		if err != nil || !a.forNow() {
			return
		}
		r.Reason = a.reason
		if r.Refused == 0 {
			r.Refused = r.Latency
		}
		if r.Attempts >= cfg.Retry.Attempts || !pause(ctx, cfg.Retry.wait(&a)) {
			return
		}
	}
}

func (d *device) message(cfg *Config, edge *Edge, r *Result) *message {
	m := &message{edge: edge, kind: r.Kind, path: strings.ReplaceAll(r.Kind.Path, "{device}", d.id), body: d.body[:r.Kind.Body], deadline: cfg.Deadline}
	if cfg.Run != "" {
		m.id = r.ID(cfg.Run)
	}
	return m
}

func (g *generator) close() {
	for _, d := range append(g.devices, g.idle...) {
		d.link.drop()
	}
	for _, s := range g.sockets {
		_ = s.quic.Close()
		_ = s.udp.Close()
	}
}
