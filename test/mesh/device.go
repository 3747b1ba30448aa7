package mesh

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// Device is an HTTP/3 client of one edge.
type Device struct {
	h3   *http3.Transport
	addr string
}

// Answer is a response, read whole.
type Answer struct {
	Status  int
	Header  http.Header
	Trailer http.Header
	Body    string
	Echo    Echo // of an Instance; zero when another answered
}

// ServedBy is "region/instance" as an Instance says; empty when another answered.
func (a *Answer) ServedBy() string { return a.Header.Get("X-Served-By") }

// Device connects a device to the agent's edge, with a certificate when it has
// an id.
func (a *Agent) Device(t testing.TB, id string, properties map[string]string) *Device {
	t.Helper()
	d := &Device{addr: a.EdgeAddr(), h3: &http3.Transport{
		TLSClientConfig:    a.Region.mesh.ClientTLS(t, id, properties),
		QUICConfig:         &quic.Config{MaxIdleTimeout: 4 * time.Second, KeepAlivePeriod: time.Second},
		DisableCompression: true,
	}}
	t.Cleanup(func() { _ = d.h3.Close() })
	return d
}

// Connection is one HTTP/3 connection to an edge, without a client that dials
// again by itself.
type Connection struct {
	QUIC *quic.Conn
	h3   *http3.ClientConn
	addr string
}

// Connect opens a connection that ends with the test.
func (a *Agent) Connect(t testing.TB) *Connection {
	t.Helper()
	conf := a.Region.mesh.ClientTLS(t, "", nil)
	conf.NextProtos = []string{http3.NextProtoH3}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := quic.DialAddr(ctx, a.EdgeAddr(), conf, &quic.Config{})
	if err != nil {
		t.Fatalf("connect to %s: %v", a.EdgeAddr(), err)
	}
	t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	return &Connection{QUIC: conn, h3: new(http3.Transport).NewClientConn(conn), addr: a.EdgeAddr()}
}

// Try sends a message over this very connection.
func (c *Connection) Try(ctx context.Context, r Request) (*Answer, error) {
	req, err := r.to(ctx, c.addr)
	if err != nil {
		return nil, err
	}
	resp, err := c.h3.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	return readAnswer(resp)
}

// ClientTLS trusts the mesh's authority, and shows a device's certificate when
// id is not empty.
func (m *Mesh) ClientTLS(t testing.TB, id string, properties map[string]string) *tls.Config {
	t.Helper()
	conf := &tls.Config{RootCAs: m.authority.Pool()}
	if id == "" {
		return conf
	}
	issued, err := m.authority.IssueDevice(id, properties, validity)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := issued.TLS()
	if err != nil {
		t.Fatal(err)
	}
	conf.Certificates = []tls.Certificate{cert}
	return conf
}

// Request is a message of a device.
type Request struct {
	Method string // default GET
	Path   string
	Host   string // default: the edge's address
	Header map[string]string
	Body   string
}

func (r Request) to(ctx context.Context, addr string) (*http.Request, error) {
	var body io.Reader
	if r.Body != "" {
		body = strings.NewReader(r.Body)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, "https://"+addr+r.Path, body)
	if err != nil {
		return nil, err
	}
	if r.Host != "" {
		req.Host = r.Host
	}
	for name, value := range r.Header {
		req.Header.Set(name, value)
	}
	return req, nil
}

// Try sends a message and returns what became of it.
func (d *Device) Try(ctx context.Context, r Request) (*Answer, error) {
	req, err := r.to(ctx, d.addr)
	if err != nil {
		return nil, err
	}
	resp, err := d.h3.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	return readAnswer(resp)
}

// Do sends a message; without an answer the test fails.
func (d *Device) Do(t testing.TB, r Request) *Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ans, err := d.Try(ctx, r)
	if err != nil {
		t.Fatalf("%s %s at %s: %v", r.Method, r.Path, d.addr, err)
	}
	return ans
}

// Get is Do of a GET.
func (d *Device) Get(t testing.TB, path string) *Answer {
	t.Helper()
	return d.Do(t, Request{Path: path})
}

func readAnswer(resp *http.Response) (*Answer, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	ans := &Answer{Status: resp.StatusCode, Header: resp.Header, Trailer: resp.Trailer, Body: string(body)}
	if ans.ServedBy() != "" {
		err = json.Unmarshal(body, &ans.Echo)
	}
	return ans, err
}
