//go:build linux

package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/tidegate/tidegate/agent/load"
	"github.com/tidegate/tidegate/policy"
)

// kinds of messages. Stock in eu-1 is what needs another region.
var kinds = []load.Kind{
	{Name: "alarms", Class: policy.Critical, Method: "PUT", Path: "/devices/{device}/alarms", Body: 120, Weight: 20},
	{Name: "stock-urgent", Class: policy.Critical, Method: "PUT", Path: "/devices/{device}/stock/urgent", Body: 120, Weight: 15},
	{Name: "stock", Class: policy.Normal, Method: "PUT", Path: "/devices/{device}/stock", Body: 200, Weight: 35},
	{Name: "telemetry", Class: policy.Bulk, Method: "PUT", Path: "/devices/{device}/telemetry", Body: 400, Weight: 30},
}

// assignment is what the process that plays the devices is told on its input.
type assignment struct {
	Edges []load.Edge
	Rate  float64
	CA    string
	Dir   string // with the devices' certificates
}

// message is what became of one request.
type message struct {
	Due    time.Time
	Took   time.Duration
	Edge   string // region
	Agent  string
	Kind   string
	Status int // 0: no answer
	Served string
	Err    string
}

func (m *message) ok() bool { return m.Err == "" && m.Status >= 200 && m.Status < 300 }

func (m *message) critical() bool { return m.Kind == "alarms" || m.Kind == "stock-urgent" }

func (m *message) String() string {
	return fmt.Sprintf("due %s, %s at %s: status %d from %q after %s %s",
		m.Due.Format("15:04:05.000"), m.Kind, m.Agent, m.Status, m.Served, m.Took.Round(time.Millisecond), m.Err)
}

// sendAsDevices sends until SIGTERM, and prints every message's fate.
func sendAsDevices() error {
	var a assignment
	if err := json.NewDecoder(os.Stdin).Decode(&a); err != nil {
		return err
	}
	trust, err := trusting(a.CA)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	tell := newTeller(os.Stdout)
	_, err = load.Run(ctx, load.Config{
		Edges: a.Edges, Kinds: kinds, Devices: deviceCount, Rate: a.Rate, TLS: trust, Timeout: 5 * time.Second, Observe: tell.one,
		Identity: func(n int) (tls.Certificate, error) {
			return identity(a.Dir, n)
		},
	})
	return err
}

// trusting is what a device trusts.
func trusting(ca string) (*tls.Config, error) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	trust := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS13}
	trust.RootCAs.AppendCertsFromPEM(pem)
	return trust, nil
}

// identity is what the n-th device shows.
func identity(dir string, n int) (tls.Certificate, error) {
	base := filepath.Join(dir, fmt.Sprint(n))
	return tls.LoadX509KeyPair(base+".pem", base+".key")
}

// teller writes what became of messages; it may be called concurrently.
type teller struct {
	mu  sync.Mutex // guards out
	out *json.Encoder
}

func newTeller(w io.Writer) *teller { return &teller{out: json.NewEncoder(w)} }

func (t *teller) one(r load.Result) {
	m := message{Due: r.Due, Took: r.Latency, Edge: r.Edge, Agent: r.Agent, Kind: r.Kind.Name, Status: r.Status, Served: r.Region}
	if r.Err != nil {
		m.Err = r.Err.Error()
	}
	t.print(m)
}

func (t *teller) print(v any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = t.out.Encode(v) // whoever listened is gone, and so is this process soon
}

// devices are the process, and what it tells.
type devices struct {
	*player

	mu   sync.Mutex // guards sent
	sent []message
}

func (m *mesh) startDevices(context.Context) (err error) {
	a := assignment{Rate: m.opt.rate, CA: m.caFile(), Dir: m.deviceDir()}
	for _, g := range m.agents() {
		a.Edges = append(a.Edges, load.Edge{Region: g.region.name, Agent: g.name, Addr: g.edge()})
	}
	d := &devices{}
	if d.player, err = play(m, roleDevices, a, d.take); err == nil {
		m.devices = d
	}
	return err
}

func (d *devices) take(m message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sent = append(d.sent, m)
}

// between returns the answered messages that were due from a moment on, and
// before another.
func (d *devices) between(from, until time.Time) (some []message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.sent {
		if !m.Due.Before(from) && m.Due.Before(until) {
			some = append(some, m)
		}
	}
	return some
}
