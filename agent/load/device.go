package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
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
	id   string
	edge Edge
	h3   *http3.Transport
	body []byte
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
	return ctx.Err()
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
	edge := g.cfg.Edges[i%len(g.cfg.Edges)]
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
		id: fmt.Sprintf("device-%d", i), edge: edge, body: body,
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

func (d *device) send(ctx context.Context, kind *Kind, due time.Time, timeout time.Duration) Result {
	r := Result{Due: due, Edge: d.edge.Region, Agent: d.edge.Agent, Kind: kind}
	ctx, cancel := context.WithDeadline(ctx, due.Add(timeout))
	defer cancel()
	req, err := d.request(ctx, kind)
	if err == nil {
		r.Status, r.Region, err = d.roundTrip(req)
	}
	r.Err = err
	r.Latency = time.Since(due)
	return r
}

func (d *device) request(ctx context.Context, kind *Kind) (*http.Request, error) {
	path := strings.ReplaceAll(kind.Path, "{device}", d.id)
	req, err := http.NewRequestWithContext(ctx, kind.Method, "https://"+d.edge.Addr+path, bytes.NewReader(d.body[:kind.Body]))
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

func (d *device) roundTrip(req *http.Request) (status int, region string, err error) {
	resp, err := d.h3.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return resp.StatusCode, "", err
	}
	region, _, _ = strings.Cut(resp.Header.Get("X-Served-By"), "/")
	return resp.StatusCode, region, nil
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
