package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/tidegate/tidegate/test/child"
	"github.com/tidegate/tidegate/transport"
)

// lab is what the servers and the devices share.
type lab struct {
	dir    string
	client *tls.Config
}

func newLab() (l *lab, err error) {
	l = &lab{}
	if l.dir, err = os.MkdirTemp("", "tidegate-devices-"); err != nil {
		return nil, err
	}
	ca, err := transport.NewAuthority("devices", trustDomain, time.Hour)
	if err != nil {
		return nil, err
	}
	edge, err := ca.IssueEdge([]string{"localhost"}, time.Hour)
	if err != nil {
		return nil, err
	}
	device, err := ca.IssueDevice("d-17", map[string]string{"tenant": "a", "type": "meter"}, time.Hour)
	if err != nil {
		return nil, err
	}
	pair, err := device.TLS()
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.CertPEM())
	l.client = &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, ServerName: "localhost", NextProtos: []string{alpn}}
	for name, content := range map[string][]byte{fileCA: ca.CertPEM(), fileCert: edge.CertPEM, fileKey: edge.KeyPEM} {
		if err := os.WriteFile(filepath.Join(l.dir, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// kind is a server and the devices that connect to it.
type kind struct {
	name, role string
	quic       bool
	greet      []byte // what a device sends first, once
	answer     int    // bytes that come back
}

const (
	bareTLS  = "bare TLS"
	bareQUIC = "bare QUIC"
	mqttTLS  = "MQTT TLS"
	mqttQUIC = "MQTT QUIC"
)

var kinds = []kind{
	{bareTLS, roleTLS, false, []byte{1}, 1},
	{mqttTLS, roleEdge, false, nil, 4},
	{bareQUIC, roleQUIC, true, []byte{1}, 1},
	{mqttQUIC, roleEdge, true, nil, 4},
}

// connect is CONNECT of MQTT 3.1.1, each device with an identifier of its own.
func connect(n int) []byte {
	id := fmt.Sprintf("device-%06d", n)
	b := []byte{0x10, byte(12 + len(id)), 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0x4, 0xb0, 0, byte(len(id))}
	return append(b, id...)
}

// server is one of this program's servers, in a process of its own.
type server struct {
	*child.Process
	addr    string // of TCP and UDP
	control string
}

func (l *lab) start(ctx context.Context, role string) (*server, error) {
	proc, line, err := child.StartSelf(ctx, filepath.Join(l.dir, role+".log"), role, envDir+"="+l.dir)
	if err != nil {
		return nil, err
	}
	s := &server{Process: proc}
	s.addr, s.control, _ = strings.Cut(line, " ")
	return s, nil
}

// ask has a server do something, and returns what it says.
func (s *server) ask(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.control+path, nil)
	if err != nil {
		return nil, err
	}
	rsp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, s.Tail())
	}
	defer rsp.Body.Close()
	text, err := io.ReadAll(rsp.Body)
	if err == nil && rsp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, rsp.Status, text)
	}
	return text, err
}

// devices are connections that stay open.
type devices struct {
	kind   kind
	addr   string
	client *tls.Config

	mu     sync.Mutex
	opened []io.Closer
}

// atOnce is how many connect at a time: the machine is shared with the server.
const atOnce = 16

// open connects n devices, numbered from first on.
func (d *devices) open(ctx context.Context, first, n int) error {
	next := make(chan int)
	failed := make(chan error, atOnce)
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for i := range next {
				if err := d.one(ctx, i); err != nil {
					failed <- fmt.Errorf("device %d: %w", i, err)
					return
				}
			}
		})
	}
	err := func() error {
		defer close(next)
		for i := range n {
			select {
			case next <- first + i:
			case err := <-failed:
				return err
			}
		}
		return nil
	}()
	all.Wait()
	select {
	case late := <-failed:
		err = errors.Join(err, late)
	default:
	}
	return err
}

func (d *devices) one(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	link, closer, err := d.dial(ctx)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.opened = append(d.opened, closer)
	d.mu.Unlock()
	greet := d.kind.greet
	if greet == nil {
		greet = connect(i)
	}
	if _, err := link.Write(greet); err != nil {
		return err
	}
	_, err = io.ReadFull(link, make([]byte, d.kind.answer))
	return err
}

func (d *devices) dial(ctx context.Context) (io.ReadWriter, io.Closer, error) {
	if !d.kind.quic {
		conn, err := (&tls.Dialer{Config: d.client}).DialContext(ctx, "tcp", d.addr)
		return conn, conn, err
	}
	conn, err := quic.DialAddr(ctx, d.addr, d.client, &quic.Config{MaxIdleTimeout: 10 * time.Minute})
	if err != nil {
		return nil, nil, err
	}
	stream, err := conn.OpenStreamSync(ctx)
	return stream, quicCloser{conn}, err
}

type quicCloser struct{ conn *quic.Conn }

func (c quicCloser) Close() error { return c.conn.CloseWithError(0, "") }

func (d *devices) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.opened {
		if c != nil {
			_ = c.Close()
		}
	}
}

// freePort is a port of 127.0.0.1 that nobody listens at.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// awaitTCP waits until somebody listens at an address, ten seconds at most.
func awaitTCP(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}
